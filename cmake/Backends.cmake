# The backends a program is linked with: the CPU's always, oneDNN's convolutions where the library is there.

target_link_libraries(gs_cpu PUBLIC OpenMP::OpenMP_CXX)
if(TARGET gs_onednn)
  target_link_libraries(gs_cpu PUBLIC gs_onednn)
  target_compile_definitions(gs_cpu PUBLIC GRADSCORE_HAS_ONEDNN)
endif()

add_library(gs_backends INTERFACE)
target_link_libraries(gs_backends INTERFACE gs_cpu)
