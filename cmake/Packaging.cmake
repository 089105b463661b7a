# `make package`: a relocatable tarball of everything, and two Debian packages, one for each component of Install.cmake.

set(CPACK_PACKAGE_NAME gradscore)
set(CPACK_PACKAGE_VENDOR gradscore)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "out-of-distribution scores with gradients")
set(CPACK_PACKAGE_CONTACT "the gradscore authors")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME gradscore-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_GENERATOR TGZ)
set(CPACK_STRIP_FILES TRUE)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)

find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
find_program(FILE_COMMAND file)  # which CPack looks for what to strip and to depend on with
if(DPKG_SHLIBDEPS AND FILE_COMMAND AND NOT GRADSCORE_HAS_CUDA)
  list(APPEND CPACK_GENERATOR DEB)
elseif(GRADSCORE_HAS_CUDA)
  message(STATUS "No Debian packages of builds with CUDA: its libraries need not belong to packages")
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME gradscore)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
  "Scores images as in- or out-of-distribution\n The command gradscore, its manual page, completions and documentation.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libgradscore-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "Library of gradscore\n The static library with its headers and its CMake package.")
# The libraries' development files, as the static library leaves them to whoever links it.
string(JOIN ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  libssl-dev libjpeg-dev libspng-dev libzip-dev libmatio-dev zlib1g-dev pkg-config)
if(TARGET gs_onednn)
  string(APPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS ", libdnnl-dev")
endif()
include(CPack)
