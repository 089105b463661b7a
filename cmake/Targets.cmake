# Compile options of everything of ours, and the helpers that make a library or a test from a folder.

add_library(gs_options INTERFACE)
target_include_directories(gs_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(gs_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(GRADSCORE_SANITIZE)
  target_compile_options(gs_options INTERFACE -fsanitize=${GRADSCORE_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
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

# gs_test(FOLDER DEPS …): test program test_FOLDER of tests/FOLDER/*.cpp, every case a ctest test.
function(gs_test folder)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${folder} ${sources})
  target_link_libraries(test_${folder} PRIVATE gs_options GTest::gtest GTest::gmock GTest::gtest_main)
  foreach(dep ${ARG_DEPS})
    if(TARGET gs_${dep})
      target_link_libraries(test_${folder} PRIVATE gs_${dep})
    else()
      target_link_libraries(test_${folder} PRIVATE ${dep})
    endif()
  endforeach()
  target_compile_definitions(test_${folder} PRIVATE GS_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    GS_BINARY_DIR="${PROJECT_BINARY_DIR}")
  gtest_discover_tests(test_${folder} TEST_PREFIX "${folder}." DISCOVERY_MODE PRE_TEST
    PROPERTIES ENVIRONMENT "OMP_NUM_THREADS=1" TIMEOUT 600 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()
