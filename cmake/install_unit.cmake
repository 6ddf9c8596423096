# SPDX-License-Identifier: MIT
# Runs when files are installed: the unit with the path of the program under the prefix of this installation. DESTDIR is no part of it.
# in: the template; made: a folder for the result; bindir, unit_dir: below the prefix, or absolute.
get_filename_component(CMAKE_INSTALL_FULL_BINDIR ${bindir} ABSOLUTE BASE_DIR ${CMAKE_INSTALL_PREFIX})
configure_file(${in} ${made}/oxen-lited.service @ONLY)
get_filename_component(unit_dir ${unit_dir} ABSOLUTE BASE_DIR ${CMAKE_INSTALL_PREFIX})
file(INSTALL ${made}/oxen-lited.service DESTINATION ${unit_dir})
