# An installable package: find_package(ddpm) gives ddpm::ddpm, and ddpm::train where it was built.
include(CMakePackageConfigHelpers)

set(ddpm_targets ddpm)
if(DDPM_BUILD_TRAIN)
  list(APPEND ddpm_targets ddpm_train)
endif()
install(TARGETS ${ddpm_targets} EXPORT ddpmTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ddpm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*-inl.h" EXCLUDE)
install(EXPORT ddpmTargets NAMESPACE ddpm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
configure_package_config_file(cmake/ddpmConfig.cmake.in ${PROJECT_BINARY_DIR}/ddpmConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ddpmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ddpmConfig.cmake ${PROJECT_BINARY_DIR}/ddpmConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
