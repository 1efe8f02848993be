# What `cmake --install` puts where. Two components: `edge`, all that others may link against, and
# `programs`. No path of this machine is in what is installed: a prefix can be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# ---- edge: library, headers, CMake package, pkg-config.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tollgate)
install(TARGETS tollgate_edge EXPORT tollgateTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT edge NAMELINK_COMPONENT edge)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tollgate DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT edge FILES_MATCHING PATTERN "*.h")
install(EXPORT tollgateTargets NAMESPACE tollgate:: DESTINATION ${package_dir} COMPONENT edge)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tollgateConfig.cmake.in
  ${PROJECT_BINARY_DIR}/tollgateConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tollgateConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tollgateConfig.cmake
              ${PROJECT_BINARY_DIR}/tollgateConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT edge)
file(RELATIVE_PATH TOLLGATE_PC_TO_PREFIX
  /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/tollgate-edge.pc.in ${PROJECT_BINARY_DIR}/tollgate-edge.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tollgate-edge.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT edge)

# ---- programs, and the contracts that they share: theirs alone, so in a folder of their own.
set(private_dir ${CMAKE_INSTALL_LIBDIR}/tollgate)
file(RELATIVE_PATH to_private /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${private_dir})
set_target_properties(tollgated tollgate-validator tollgate PROPERTIES
  INSTALL_RPATH "$ORIGIN/${to_private}")
set_target_properties(tollgate_proto_grpc PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS tollgated tollgate-validator tollgate
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
install(TARGETS tollgate_proto tollgate_proto_grpc
  LIBRARY DESTINATION ${private_dir} COMPONENT programs)
