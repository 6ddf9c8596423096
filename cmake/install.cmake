# SPDX-License-Identifier: MIT
install(TARGETS oxl_durable oxenlite ARCHIVE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/lib/include/oxenlite DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def")

# The .pc files name what the archives leave open (Requires, not .private: there is no shared library); a BLAKE3 built from sources is inside liboxl_durable.a.
foreach(pc oxenlite oxenlite-durable)
        configure_file(${PROJECT_SOURCE_DIR}/cmake/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
        install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

file(GLOB man_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.[1-8])
foreach(page IN LISTS man_pages)
        string(REGEX MATCH "[1-8]$" section ${page})
        install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

if(OXL_HAVE_SYSTEMD)
        configure_file(${PROJECT_SOURCE_DIR}/systemd/oxen-lited.service.in
                ${PROJECT_BINARY_DIR}/oxen-lited.service @ONLY)
        install(FILES ${PROJECT_BINARY_DIR}/oxen-lited.service DESTINATION lib/systemd/system)
endif()
