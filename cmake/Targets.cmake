# Compile options of everything of ours, and the helpers that make a library or a test from a folder.

add_library(gs_options INTERFACE)
target_include_directories(gs_options INTERFACE ${PROJECT_SOURCE_DIR})
function(gs_cxx_options)
  target_compile_options(gs_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${ARGN}>")
endfunction()
gs_cxx_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual)
# With compilers that are tested; a later one may know warnings that nobody has seen, and shall build all the same.
set(tested OFF)
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
    OR (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15))
  set(tested ON)
endif()
option(GRADSCORE_WERROR "warnings are errors" ${tested})
if(GRADSCORE_WERROR)
  gs_cxx_options(-Werror)
  if(TARGET gs_cuda_options)
    target_compile_options(gs_cuda_options INTERFACE
      "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
  endif()
endif()
# The library may go into a shared one, a Python extension say; nobody is to put other functions in place of ours.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
gs_cxx_options(-fno-semantic-interposition)
# Messages name files of the project, not where it was built.
target_compile_options(gs_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=>-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  gs_cxx_options(-Wno-restrict)  # GCC 12: false alarms on string concatenation (PR 105651)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    # False alarms: on results that keep nothing of a temporary argument, on vectors filled element by element.
    gs_cxx_options(-Wno-dangling-reference -Wno-maybe-uninitialized)
  endif()
endif()
if(GRADSCORE_SANITIZE)
  gs_cxx_options(-fsanitize=${GRADSCORE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                 -D_GLIBCXX_ASSERTIONS)  # spans and vectors check their indices
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    gs_cxx_options(-Wno-maybe-uninitialized)  # false alarms when instrumented (PR 105562)
  endif()
  target_link_options(gs_options INTERFACE -fsanitize=${GRADSCORE_SANITIZE})
endif()

# gs_library(FOLDER DEPS …): static library gs_FOLDER of FOLDER/*.cpp. DEPS name folders or imported targets.
function(gs_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  if(NOT sources)
    add_library(gs_${folder} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(gs_${folder} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  foreach(dep gs_options ${ARG_DEPS})
    if(TARGET gs_${dep})
      target_link_libraries(gs_${folder} ${scope} gs_${dep})
    else()
      target_link_libraries(gs_${folder} ${scope} ${dep})
    endif()
  endforeach()
endfunction()

# Of one test, in seconds; where a device is lent for minutes, one that hangs must not take them all.
set(GRADSCORE_TEST_TIMEOUT 600 CACHE STRING "seconds a test may take")

# gs_test(FOLDER DEPS …): test program test_FOLDER of tests/FOLDER/*.cpp, every case a ctest test with the label FOLDER.
function(gs_test folder)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  # Objects apart from the program: tests of whatever backend is there are linked with an emulated device, too.
  add_library(test_${folder}_objects OBJECT ${sources})
  target_link_libraries(test_${folder}_objects PUBLIC gs_options GTest::gtest GTest::gmock PRIVATE gs_test_options)
  foreach(dep ${ARG_DEPS})
    if(TARGET gs_${dep})
      list(APPEND libraries gs_${dep})
    else()
      list(APPEND libraries ${dep})
    endif()
  endforeach()
  target_link_libraries(test_${folder}_objects PRIVATE ${libraries})
  add_executable(test_${folder} $<TARGET_OBJECTS:test_${folder}_objects> ${PROJECT_BINARY_DIR}/tests/dirs.cpp)
  target_link_libraries(test_${folder} PRIVATE gs_options GTest::gtest GTest::gmock GTest::gtest_main ${libraries})
  gtest_discover_tests(test_${folder} TEST_PREFIX "${folder}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${folder} ENVIRONMENT "OMP_NUM_THREADS=1" TIMEOUT ${GRADSCORE_TEST_TIMEOUT} SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()
