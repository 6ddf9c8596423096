# SPDX-License-Identifier: MIT
# Debian packages by CPack: ./run package. One for each component of cmake/install.cmake; what dpkg wants besides files lies in packaging/.
# Only a build for the prefix /usr makes packages: units, completions and the library's path depend on it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME oxen-lite)
set(CPACK_PACKAGE_VENDOR "the oxen-lite authors")
set(OXL_MAINTAINER "oxen-lite authors <oxen-lite@users.noreply.github.com>" CACHE STRING "Maintainer of the packages")
set(CPACK_PACKAGE_CONTACT ${OXL_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "crash-safe version store")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
# /etc is outside of the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime dev tools)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Compresses, adds changelogs, sets modes; between installing into the package's folder and packing it.
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package_finish.cmake)

set(about "Keeps versions of files and directories so that a kill, a crash, a full disk
or a power cut cannot damage them, verifies every byte, and repairs what has
another good copy. Part of it are atomic, durable writes for any program.

This package has")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME liboxenlite${OXL_SOVERSION})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/packaging/triggers")
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "${about} the shared library.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME liboxenlite-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
        "liboxenlite${OXL_SOVERSION} (= ${PROJECT_VERSION}-1), libsqlite3-dev, libcjson-dev, libxxhash-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_DESCRIPTION "${about} headers, static libraries, pkg-config and CMake files,
and example programs.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME oxen-lite)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION vcs)
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS systemd)
set(CPACK_DEBIAN_TOOLS_PACKAGE_PREDEPENDS "init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_TOOLS_PACKAGE_CONTROL_EXTRA "")
foreach(file postinst prerm postrm conffiles)
        list(APPEND CPACK_DEBIAN_TOOLS_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/${file})
endforeach()
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "${about} the command oxen-lite and the service oxen-lited,
which finishes or undoes what was interrupted, removes stale temporary files,
and verifies all data within a promised time.")

# EXCLUDE_FROM_ALL: in packages only; `cmake --install` never overwrites somebody's daemon.json.
foreach(component runtime dev tools)
        string(TOUPPER ${component} name)
        install(FILES ${PROJECT_SOURCE_DIR}/packaging/copyright
                DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${name}_PACKAGE_NAME} COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
if(OXL_HAVE_DAEMON)
        install(FILES ${PROJECT_SOURCE_DIR}/systemd/daemon.json DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/oxen-lite
                COMPONENT tools EXCLUDE_FROM_ALL)
endif()
include(CPack)
