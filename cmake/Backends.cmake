# The backends a program is linked with: the CPU's always, with oneDNN's convolutions where the library is there.

set(cpu_deps core OpenMP::OpenMP_CXX)
if(TARGET gs_onednn)
  target_compile_definitions(gs_onednn INTERFACE GRADSCORE_HAS_ONEDNN)
  list(APPEND cpu_deps gs_onednn)
endif()
gs_library(cpu DEPS ${cpu_deps})

# CUDA's, where the toolkit and cuDNN are there (Cuda.cmake). What needs no header of theirs is built everywhere.
file(GLOB cuda_host_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cuda/plans/*.cpp)
if(GRADSCORE_HAS_CUDA)
  file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cuda/*.cpp ${PROJECT_SOURCE_DIR}/cuda/cudnn/*.cpp
    ${PROJECT_SOURCE_DIR}/cuda/engine/*.cpp ${PROJECT_SOURCE_DIR}/cuda/kernels/*.cu)
  list(REMOVE_ITEM cuda_sources ${PROJECT_SOURCE_DIR}/cuda/no_cuda.cpp)
  add_library(gs_cuda STATIC ${cuda_sources} ${cuda_host_sources})
  target_link_libraries(gs_cuda PUBLIC gs_core gs_cudnn PRIVATE gs_cuda_options)
  target_compile_definitions(gs_cuda INTERFACE GRADSCORE_HAS_CUDA)
  # Kernels for compute capability 9.0's own instructions, which code for 90 may not use: for 90a alone, whatever the
  # others are compiled for.
  file(GLOB sm90a_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cuda/kernels/sm90a/*.cu)
  add_library(gs_cuda_sm90a OBJECT ${sm90a_sources})
  set_target_properties(gs_cuda_sm90a PROPERTIES CUDA_ARCHITECTURES OFF)
  target_compile_options(gs_cuda_sm90a PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-gencode=arch=compute_90a,code=sm_90a>")
  target_link_libraries(gs_cuda_sm90a PRIVATE gs_core gs_cudnn gs_cuda_options)
  target_sources(gs_cuda PRIVATE $<TARGET_OBJECTS:gs_cuda_sm90a>)
  set(gs_cuda_kernel_sets cuda_sm90a)
else()
  add_library(gs_cuda STATIC ${PROJECT_SOURCE_DIR}/cuda/no_cuda.cpp ${cuda_host_sources})
  target_link_libraries(gs_cuda PUBLIC gs_core)
endif()

add_library(gs_backends INTERFACE)
target_link_libraries(gs_backends INTERFACE gs_cpu gs_cuda)

# The CPU's inner loops, compiled once for every instruction set and picked at run time (cpu/isa.cpp). Without
# contraction of multiply and add all of them give the same bits; the matrix product may contract.
file(GLOB kernel_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cpu/kernels/*.cpp)
function(gs_cpu_kernels isa)
  set(gs_cpu_kernel_sets ${gs_cpu_kernel_sets} cpu_${isa} PARENT_SCOPE)
  add_library(gs_cpu_${isa} OBJECT ${kernel_sources})
  target_link_libraries(gs_cpu_${isa} PRIVATE gs_options)
  target_compile_definitions(gs_cpu_${isa} PRIVATE GS_ISA=${isa})
  target_compile_options(gs_cpu_${isa} PRIVATE -ffp-contract=off ${ARGN})
  target_sources(gs_cpu PRIVATE $<TARGET_OBJECTS:gs_cpu_${isa}>)
endfunction()
set_source_files_properties(${PROJECT_SOURCE_DIR}/cpu/kernels/gemm.cpp
  ${PROJECT_SOURCE_DIR}/cpu/kernels/gradient_panel.cpp ${PROJECT_SOURCE_DIR}/cpu/kernels/depthwise.cpp
  ${PROJECT_SOURCE_DIR}/cpu/kernels/gram.cpp ${PROJECT_SOURCE_DIR}/cpu/kernels/wide.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=fast)

gs_cpu_kernels(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  gs_cpu_kernels(avx2 -mavx2 -mfma)
  gs_cpu_kernels(avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512)
  target_compile_definitions(gs_cpu PRIVATE GRADSCORE_X86_KERNELS)
endif()
