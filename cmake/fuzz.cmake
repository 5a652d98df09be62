# All code is compiled with instrumentation, so that libFuzzer sees which branches an input takes.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "DDPM_BUILD_FUZZ needs clang, which brings libFuzzer: cmake --preset fuzz, or "
                      "-DCMAKE_CXX_COMPILER=clang++-14 (packages clang-14 and libclang-rt-14-dev)")
endif()
add_compile_options(-fsanitize=fuzzer-no-link)

# ddpm_fuzz(name LIBRARIES libraries... SOURCES sources...) adds the program fuzz_<name>, made from fuzz_<name>.cpp.
function(ddpm_fuzz name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;SOURCES" ${ARGN})
  add_executable(fuzz_${name} fuzz_${name}.cpp ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LIBRARIES} fmt::fmt-header-only nlohmann_json::nlohmann_json)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  ddpm_warnings(fuzz_${name})
endfunction()
