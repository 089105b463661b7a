# The CUDA toolkit, its compiler and cuDNN. GRADSCORE_CUDA: AUTO builds without CUDA where one of them is missing, and
# says so; ON stops there. Sets GRADSCORE_HAS_CUDA and target gs_cudnn (headers and libraries of cuDNN and cuBLAS).

# This machine's GPUs, as far as there is code for them; 9.0 where there is none.
if(NOT DEFINED CACHE{GRADSCORE_CUDA_ARCHITECTURES})
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE found ERROR_QUIET
    RESULT_VARIABLE ignored)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]" found "${found}")
  list(TRANSFORM found REPLACE "\\." "")
  list(FILTER found INCLUDE REGEX "^([89].|...)$")
  list(REMOVE_DUPLICATES found)
  if(NOT found)
    set(found 90)
  endif()
  set(GRADSCORE_CUDA_ARCHITECTURES "${found}" CACHE STRING
    "GPU architectures, as CMAKE_CUDA_ARCHITECTURES; at first this machine's (make cuda-release: all)")
endif()
set(CUDNN_ROOT "" CACHE PATH "cuDNN's folder, with include/ and lib/ (a pip package's nvidia/cudnn will do)")
set(GRADSCORE_HAS_CUDA FALSE)

# Every reason to do without CUDA comes through here.
macro(gs_no_cuda reason)
  if(GRADSCORE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GRADSCORE_CUDA=ON, but ${reason}")
  endif()
  message(STATUS "Building without CUDA: ${reason}")
  return()
endmacro()

function(gs_find_cuda)
  if(GRADSCORE_CUDA STREQUAL "OFF")
    return()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    gs_no_cuda("no CUDA compiler was found (nvcc on PATH, or CUDACXX)")
  endif()
  find_package(CUDAToolkit QUIET)
  if(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublas OR NOT TARGET CUDA::cublasLt OR NOT TARGET CUDA::cudart_static)
    gs_no_cuda("no CUDA toolkit with cuBLAS was found beside ${CMAKE_CUDA_COMPILER} (CUDAToolkit_ROOT)")
  endif()
  if(CUDAToolkit_VERSION VERSION_LESS 12.0)
    gs_no_cuda("the CUDA toolkit is ${CUDAToolkit_VERSION}; 12.0 or later is needed")
  endif()
  # NAMES_PER_DIR: pip's package has libcudnn.so.9 alone, and must not end up with its headers and the system's library.
  set(hints ${CUDNN_ROOT} $ENV{CUDNN_ROOT})
  find_path(CUDNN_INCLUDE_DIR cudnn_graph.h HINTS ${hints} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
  find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 NAMES_PER_DIR HINTS ${hints} ${CUDAToolkit_LIBRARY_DIR}
    PATH_SUFFIXES lib lib64)
  if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
    gs_no_cuda("cuDNN 9 was not found (cudnn_graph.h and libcudnn; CUDNN_ROOT names its folder)")
  endif()
  file(STRINGS ${CUDNN_INCLUDE_DIR}/cudnn_version.h version REGEX "^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
  list(TRANSFORM version REPLACE "[^0-9]" "")
  list(JOIN version "." version)
  if(version VERSION_LESS 9.8)
    gs_no_cuda("cuDNN in ${CUDNN_INCLUDE_DIR} is ${version}; 9.8 or later is needed")
  endif()
  message(STATUS "CUDA ${CUDAToolkit_VERSION} for ${GRADSCORE_CUDA_ARCHITECTURES}, cuDNN ${version} (${CUDNN_LIBRARY})")
  set(GRADSCORE_HAS_CUDA TRUE PARENT_SCOPE)
endfunction()

gs_find_cuda()
if(GRADSCORE_HAS_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES ${GRADSCORE_CUDA_ARCHITECTURES})
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # Debian 12's CMake 3.25.1 does not know that nvcc 12 has C++20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  find_package(CUDAToolkit REQUIRED)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/cmake/keep_ptxas_report.sh)
  if(CCACHE)
    list(APPEND CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
  endif()

  # SYSTEM: their headers do not meet our warnings.
  add_library(gs_cudnn INTERFACE)
  target_include_directories(gs_cudnn SYSTEM INTERFACE ${CUDNN_INCLUDE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(gs_cudnn INTERFACE ${CUDNN_LIBRARY} CUDA::cublas CUDA::cublasLt CUDA::cudart_static)

  # Kernels: a spilled register is an error everywhere, warnings are where GRADSCORE_WERROR (Targets.cmake) says so; the
  # launcher keeps ptxas' report beside each object.
  add_library(gs_cuda_options INTERFACE)
  target_compile_options(gs_cuda_options INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;\
-Xptxas=-v,-warn-spills,-Werror;--expt-relaxed-constexpr;-lineinfo>")
endif()
