# The compiler options of our targets, and the function with which a room declares its tests.

function(ddpm_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wno-unknown-pragmas -Wno-missing-field-initializers)
  if(DDPM_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

function(ddpm_library_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  ddpm_warnings(${target})
endfunction()

# ddpm_tests(name LIBRARIES libraries... SOURCES sources...) adds the GoogleTest program test_<name>.
function(ddpm_tests name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES;SOURCES" ${ARGN})
  if(NOT DDPM_BUILD_TESTS)
    return()
  endif()
  add_executable(test_${name} ${ARG_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${ARG_LIBRARIES} ddpm_test_support GTest::gtest_main
                                             fmt::fmt-header-only nlohmann_json::nlohmann_json)
  target_compile_definitions(test_${name} PRIVATE DDPM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  ddpm_warnings(test_${name})
  gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${name}: " PROPERTIES TIMEOUT 120)
endfunction()
