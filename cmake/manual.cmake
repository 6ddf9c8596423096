# SPDX-License-Identifier: MIT
# Man pages (scdoc) and shell completions, from what `oxen-lite --json help` says: a new command joins by itself.
# Built where the program can be run and Python is there; man pages where scdoc is.
find_package(Python3 COMPONENTS Interpreter)
find_program(OXL_SCDOC scdoc)
if(NOT TARGET oxen-lite OR NOT Python3_FOUND OR CMAKE_CROSSCOMPILING)
        message(STATUS "No man pages and completions: they need python3 and a program that runs here")
        return()
endif()

set(OXL_HELP_JSON ${PROJECT_BINARY_DIR}/help.json)
add_custom_command(OUTPUT ${OXL_HELP_JSON}
        COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:oxen-lite> -DOUT=${OXL_HELP_JSON}
                -P ${PROJECT_SOURCE_DIR}/cmake/help_json.cmake
        DEPENDS oxen-lite ${PROJECT_SOURCE_DIR}/cmake/help_json.cmake COMMENT "Asking oxen-lite for its commands" VERBATIM)

set(completions ${PROJECT_BINARY_DIR}/completions)
add_custom_command(OUTPUT ${completions}/oxen-lite ${completions}/_oxen-lite ${completions}/oxen-lite.fish
        COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/completions/generate.py ${OXL_HELP_JSON} ${completions}
        DEPENDS ${OXL_HELP_JSON} ${PROJECT_SOURCE_DIR}/completions/generate.py
        COMMENT "Generating shell completions" VERBATIM)
set(manual ${completions}/oxen-lite)
install(FILES ${completions}/oxen-lite DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT tools)
install(FILES ${completions}/_oxen-lite DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT tools)
install(FILES ${completions}/oxen-lite.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT tools)

if(OXL_SCDOC)
        file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.scd ${PROJECT_SOURCE_DIR}/man/*.body)
        add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/man/stamp
                COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/man/build.py --scdoc ${OXL_SCDOC}
                        --version ${PROJECT_VERSION} ${OXL_HELP_JSON} ${PROJECT_SOURCE_DIR}/man ${PROJECT_BINARY_DIR}/man
                COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/man/stamp
                DEPENDS ${OXL_HELP_JSON} ${pages} ${PROJECT_SOURCE_DIR}/man/build.py
                COMMENT "Building man pages" VERBATIM)
        list(APPEND manual ${PROJECT_BINARY_DIR}/man/stamp)
        install(DIRECTORY ${PROJECT_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT tools
                FILES_MATCHING PATTERN "*.[1-8]")
else()
        message(STATUS "No man pages: scdoc not found (Debian: scdoc, or ./run deps)")
endif()
add_custom_target(manual ALL DEPENDS ${manual})

# API reference: cmake --build build/release --target reference; doxygen's warnings are errors.
configure_file(${PROJECT_SOURCE_DIR}/docs/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
find_program(OXL_DOXYGEN doxygen)
if(OXL_DOXYGEN)
        add_custom_target(reference COMMAND ${OXL_DOXYGEN} ${PROJECT_BINARY_DIR}/Doxyfile VERBATIM)
endif()
