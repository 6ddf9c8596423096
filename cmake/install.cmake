# SPDX-License-Identifier: MIT
# Components, one Debian package each: runtime (liboxenlite0), dev (liboxenlite-dev), tools (oxen-lite).
include(CMakePackageConfigHelpers)
set(OXL_UNIT_DIR lib/systemd/system)

# --- library ---------------------------------------------------------------------------------------------------------
install(TARGETS oxenlite_shared EXPORT oxenlite
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev)
install(TARGETS oxenlite_static EXPORT oxenlite ARCHIVE COMPONENT dev)
install(TARGETS oxl_durable ARCHIVE COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/lib/include/oxenlite DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def")

# oxenlite-durable.pc names what its archive leaves open; a BLAKE3 built from sources is inside the archives. Both say where they are by
# where they lie, so that they are right under any prefix; folders that were given as absolute stay as they were given.
set(OXL_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
set(OXL_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
set(OXL_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
        file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
        string(REGEX REPLACE "/$" "" up ${up})
        set(OXL_PC_PREFIX "\${pcfiledir}/${up}")
        set(OXL_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
        if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
                set(OXL_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
        endif()
endif()
foreach(pc oxenlite oxenlite-durable)
        configure_file(${PROJECT_SOURCE_DIR}/cmake/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
        install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()

set(OXL_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/oxenlite)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/oxenliteConfig.cmake.in
        ${PROJECT_BINARY_DIR}/oxenliteConfig.cmake INSTALL_DESTINATION ${OXL_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/oxenliteConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/oxenliteConfig.cmake ${PROJECT_BINARY_DIR}/oxenliteConfigVersion.cmake
        DESTINATION ${OXL_CMAKE_DIR} COMPONENT dev)
install(EXPORT oxenlite FILE oxenliteTargets.cmake NAMESPACE oxenlite:: DESTINATION ${OXL_CMAKE_DIR} COMPONENT dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/liboxenlite-dev COMPONENT dev)

# --- service ---------------------------------------------------------------------------------------------------------
# Below the prefix: systemd looks into /usr/lib and /usr/local/lib.
if(OXL_HAVE_DAEMON)
        configure_file(${PROJECT_SOURCE_DIR}/systemd/oxen-lited.service.in
                ${PROJECT_BINARY_DIR}/systemd/oxen-lited.service @ONLY) # for tests and linters
        install(FILES ${PROJECT_SOURCE_DIR}/systemd/oxen-lited.socket DESTINATION ${OXL_UNIT_DIR} COMPONENT tools)
        # systemd wants an absolute path, and the prefix is known for certain when it is installed.
        install(CODE "set(in \"${PROJECT_SOURCE_DIR}/systemd/oxen-lited.service.in\")
                set(made \"${PROJECT_BINARY_DIR}/systemd/installed\")
                set(bindir \"${CMAKE_INSTALL_BINDIR}\")
                set(unit_dir \"${OXL_UNIT_DIR}\")" COMPONENT tools)
        install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/install_unit.cmake COMPONENT tools)
        install(FILES ${PROJECT_SOURCE_DIR}/systemd/oxen-lite.sysusers DESTINATION lib/sysusers.d RENAME oxen-lite.conf
                COMPONENT tools)
        install(FILES ${PROJECT_SOURCE_DIR}/systemd/oxen-lite.tmpfiles DESTINATION lib/tmpfiles.d RENAME oxen-lite.conf
                COMPONENT tools)
        install(FILES ${PROJECT_SOURCE_DIR}/systemd/daemon.json ${PROJECT_SOURCE_DIR}/systemd/oxen-lite-alert@.service
                DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT tools)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/monitoring DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT tools)
