# What `make install` and the packages hold, in two components: `runtime`, the command with its manual page, its
# completions, recipes and documentation; `development`, the library for other programs with its headers and its
# CMake package (docs/embedding.md).

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# One archive of every folder's objects but the command's own. Static: users choose nothing but a prefix, and no symbol
# versions are promised yet.
set(gs_public_folders core cpu cuda layers data weights nets passes scores metrics)
foreach(folder ${gs_public_folders} ${gs_cpu_kernel_sets} ${gs_cuda_kernel_sets})
  list(APPEND gs_public_objects $<TARGET_OBJECTS:gs_${folder}>)
endforeach()
add_library(gradscore_library STATIC ${gs_public_objects})
set_target_properties(gradscore_library PROPERTIES OUTPUT_NAME gradscore EXPORT_NAME gradscore LINKER_LANGUAGE CXX)
target_compile_features(gradscore_library INTERFACE cxx_std_20)
target_include_directories(gradscore_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# The headers that others may include: what it takes to load a net, to score images and to judge the scores. Inside the
# house they are named from the source's root, outside below gradscore/.
set(gs_public_headers
  core/backend.h core/bfloat16.h core/devices.h core/error.h core/random.h core/run_identity.h core/softmax.h
  core/tensor.h
  data/augment.h data/image.h data/image_set.h data/loader.h
  layers/layer.h
  metrics/draws.h metrics/metrics.h metrics/threshold.h
  nets/architecture.h nets/net.h
  passes/evidence.h passes/executor.h passes/fuse.h passes/plan.h passes/request.h
  scores/computation.h scores/fit.h scores/score.h scores/softmax.h scores/statistics.h
  weights/weight_file.h)
set(gs_installed_headers ${PROJECT_BINARY_DIR}/install/include/gradscore)
foreach(header ${gs_public_headers})
  get_filename_component(folder ${header} DIRECTORY)
  add_custom_command(OUTPUT ${gs_installed_headers}/${header}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${gs_installed_headers}/${folder}
    COMMAND sed "s|^#include \"|#include \"gradscore/|" ${PROJECT_SOURCE_DIR}/${header} > ${gs_installed_headers}/${header}
    DEPENDS ${PROJECT_SOURCE_DIR}/${header} VERBATIM)
  list(APPEND gs_header_outputs ${gs_installed_headers}/${header})
  install(FILES ${gs_installed_headers}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gradscore/${folder}
    COMPONENT development)
endforeach()
add_custom_target(gradscore_headers ALL DEPENDS ${gs_header_outputs})

install(TARGETS gradscore_library EXPORT gradscore ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
set(gs_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gradscore)
install(EXPORT gradscore FILE gradscoreTargets.cmake NAMESPACE gradscore:: DESTINATION ${gs_package_dir} COMPONENT development)
set(GRADSCORE_HAS_ONEDNN FALSE)
if(TARGET gs_onednn)
  set(GRADSCORE_HAS_ONEDNN TRUE)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/gradscoreConfig.cmake.in
  ${PROJECT_BINARY_DIR}/install/gradscoreConfig.cmake INSTALL_DESTINATION ${gs_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/install/gradscoreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/install/gradscoreConfig.cmake ${PROJECT_BINARY_DIR}/install/gradscoreConfigVersion.cmake
  DESTINATION ${gs_package_dir} COMPONENT development)

# The command, and what is made of its own definitions.
install(TARGETS gradscore RUNTIME COMPONENT runtime)
set(gs_generated ${PROJECT_BINARY_DIR}/install/generated)
function(gs_generate file)
  add_custom_command(OUTPUT ${gs_generated}/${file} COMMAND ${CMAKE_COMMAND} -E make_directory ${gs_generated}
    COMMAND gradscore ${ARGN} > ${gs_generated}/${file} DEPENDS gradscore VERBATIM)
endfunction()
gs_generate(gradscore completion bash)
gs_generate(_gradscore completion zsh)
gs_generate(gradscore.1 manual)
add_custom_command(OUTPUT ${gs_generated}/gradscore.1.gz COMMAND gzip -9nkf gradscore.1
  WORKING_DIRECTORY ${gs_generated} DEPENDS ${gs_generated}/gradscore.1 VERBATIM)
add_custom_target(gradscore_generated ALL
  DEPENDS ${gs_generated}/gradscore ${gs_generated}/_gradscore ${gs_generated}/gradscore.1.gz)
install(FILES ${gs_generated}/gradscore DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT runtime)
# Debian's zsh looks for what packages bring in a folder of their own.
install(CODE "
  set(folder site-functions)
  if(CMAKE_INSTALL_PREFIX MATCHES \"^(/.*/_CPack_Packages/.*)?/usr$\" AND EXISTS /etc/debian_version)
    set(folder vendor-completions)
  endif()
  file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/zsh/\${folder}\" TYPE FILE
    FILES \"${gs_generated}/_gradscore\")" COMPONENT runtime)
install(FILES ${gs_generated}/gradscore.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT runtime)
file(GLOB gs_recipes CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/recipes/*.toml)
install(FILES ${gs_recipes} DESTINATION ${CMAKE_INSTALL_DATADIR}/gradscore/recipes COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
# Each package brings its licence, in a folder of its own: Debian packages may not share files.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libgradscore-dev COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
