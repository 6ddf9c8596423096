# SPDX-License-Identifier: MIT
# oxen-lited. Its event loop is libevent; without it the daemon is not built. Whether systemd is told about its state decides a file,
# not an #ifdef. oxl_daemon_input: what reads settings and requests, without the loop, for the daemon, its tests and fuzzers.
set(OXL_HAVE_SYSTEMD OFF)
set(OXL_HAVE_DAEMON OFF)
file(GLOB daemon_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/daemon/*.c)
list(FILTER daemon_sources EXCLUDE REGEX "/notify_[a-z]+\\.c$")
set(daemon_input ${daemon_sources})
list(FILTER daemon_input INCLUDE REGEX "/(config|request|util)\\.c$")
list(REMOVE_ITEM daemon_sources ${daemon_input})

add_library(oxl_daemon_input STATIC ${daemon_input})
target_include_directories(oxl_daemon_input PUBLIC ${PROJECT_SOURCE_DIR}/daemon)
target_link_libraries(oxl_daemon_input PRIVATE oxl_options PUBLIC oxenlite)

pkg_check_modules(LIBEVENT IMPORTED_TARGET libevent_core)
if(NOT LIBEVENT_FOUND)
        message(WARNING "libevent_core not found: oxen-lited is not built (Debian: libevent-dev, or ./run deps)")
        return()
endif()

if(OXL_SYSTEMD STREQUAL "ON")
        pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
elseif(OXL_SYSTEMD STREQUAL "AUTO")
        pkg_check_modules(SYSTEMD IMPORTED_TARGET libsystemd)
endif()

add_executable(oxen-lited ${daemon_sources})
target_link_libraries(oxen-lited PRIVATE oxl_options oxl_daemon_input oxenlite PkgConfig::LIBEVENT)
if(SYSTEMD_FOUND AND NOT OXL_SYSTEMD STREQUAL "OFF")
        target_sources(oxen-lited PRIVATE ${PROJECT_SOURCE_DIR}/daemon/notify_systemd.c)
        target_link_libraries(oxen-lited PRIVATE PkgConfig::SYSTEMD)
        set(OXL_HAVE_SYSTEMD ON)
else()
        target_sources(oxen-lited PRIVATE ${PROJECT_SOURCE_DIR}/daemon/notify_none.c)
endif()
set(OXL_HAVE_DAEMON ON)
install(TARGETS oxen-lited COMPONENT tools)
