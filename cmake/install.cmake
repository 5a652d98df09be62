# Installs a package. find_package(ddpm) gives ddpm::ddpm. It also gives ddpm::train if that was built and FreeType,
# libjpeg, libarchive and zlib are found.
include(CMakePackageConfigHelpers)

install(TARGETS ddpm EXPORT ddpmTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT ddpmTargets NAMESPACE ddpm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
if(DDPM_BUILD_TRAIN)
  install(TARGETS ddpm_train EXPORT ddpmTrainTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT ddpmTrainTargets NAMESPACE ddpm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
endif()
if(DDPM_BUILD_CLI)
  install(TARGETS ddpm_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(DDPM_MPI_FOUND)
  install(TARGETS ddpm_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/ddpm)
endif()
include(cmake/public_headers.cmake)
foreach(header ${DDPM_PUBLIC_HEADERS})
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
endforeach()
configure_package_config_file(cmake/ddpmConfig.cmake.in ${PROJECT_BINARY_DIR}/ddpmConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ddpmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ddpmConfig.cmake ${PROJECT_BINARY_DIR}/ddpmConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ddpm)
