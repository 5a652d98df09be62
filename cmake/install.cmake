# An installable package: find_package(ddpm) gives ddpm::ddpm, and ddpm::train where it was built and FreeType, libjpeg
# and zlib are there.
include(CMakePackageConfigHelpers)

install(TARGETS ddpm EXPORT ddpmTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ddpmTargets NAMESPACE ddpm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
if(DDPM_BUILD_TRAIN)
  install(TARGETS ddpm_train EXPORT ddpmTrainTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT ddpmTrainTargets NAMESPACE ddpm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
endif()
# Public headers: every room's but what only its own sources include (kernels of one backend, marked private, support of tests).
install(DIRECTORY ddpm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
        PATTERN "*.h"
        PATTERN "*-inl.h" EXCLUDE
        PATTERN "*_test_support.h" EXCLUDE
        PATTERN "checks.h" EXCLUDE
        PATTERN "gzip.h" EXCLUDE
        PATTERN "picture_store.h" EXCLUDE
        PATTERN "source_files.h" EXCLUDE
        PATTERN "source_kinds.h" EXCLUDE
        PATTERN "unread_formats.h" EXCLUDE
        PATTERN "image_parts.h" EXCLUDE
        PATTERN "safetensors_header.h" EXCLUDE
        PATTERN "metrics_log.h" EXCLUDE
        PATTERN "run_directory.h" EXCLUDE
        PATTERN "weights.h" EXCLUDE
        PATTERN "kernels/ref" EXCLUDE
        PATTERN "kernels/cpu" EXCLUDE)
configure_package_config_file(cmake/ddpmConfig.cmake.in ${PROJECT_BINARY_DIR}/ddpmConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ddpmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ddpmConfig.cmake ${PROJECT_BINARY_DIR}/ddpmConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
