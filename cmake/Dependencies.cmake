# Every third-party library, found once. tools/setup.sh has Debian's and Ubuntu's packages.

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
find_package(JPEG REQUIRED)             # libjpeg-turbo's libjpeg API
pkg_check_modules(SPNG REQUIRED IMPORTED_TARGET spng)
find_package(ZLIB REQUIRED)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(MATIO REQUIRED IMPORTED_TARGET matio)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)  # headers only; float64 linear algebra of fits
find_package(OpenMP REQUIRED COMPONENTS CXX)

if(GRADSCORE_TESTS OR GRADSCORE_FUZZ)
  find_package(GTest REQUIRED)
  include(GoogleTest)
  find_package(Boost QUIET COMPONENTS context)  # fibers, of the emulated device in tests
endif()
if(GRADSCORE_BENCH)
  find_package(benchmark QUIET)
endif()

# Debian's dnnl CMake package asks for OpenCL, which we do not use: find the header and the library ourselves.
if(NOT GRADSCORE_ONEDNN STREQUAL "OFF")
  find_path(DNNL_INCLUDE_DIR dnnl.hpp)
  find_library(DNNL_LIBRARY dnnl)
  if(DNNL_INCLUDE_DIR AND DNNL_LIBRARY)
    add_library(gs_onednn INTERFACE)
    target_include_directories(gs_onednn SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
    target_link_libraries(gs_onednn INTERFACE ${DNNL_LIBRARY})
  elseif(GRADSCORE_ONEDNN STREQUAL "ON")
    message(FATAL_ERROR "GRADSCORE_ONEDNN=ON, but dnnl.hpp or libdnnl was not found (package libdnnl-dev)")
  endif()
endif()
