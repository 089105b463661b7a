# The backends a program is linked with: the CPU's always, with oneDNN's convolutions where the library is there.

set(cpu_deps core OpenMP::OpenMP_CXX)
if(TARGET gs_onednn)
  target_compile_definitions(gs_onednn INTERFACE GRADSCORE_HAS_ONEDNN)
  list(APPEND cpu_deps gs_onednn)
endif()
gs_library(cpu DEPS ${cpu_deps})

add_library(gs_backends INTERFACE)
target_link_libraries(gs_backends INTERFACE gs_cpu)
