# SPDX-License-Identifier: MIT
# Run by CPack in the folder of each package before it is packed: what Debian's policy wants and `make install` need not do.
cmake_minimum_required(VERSION 3.25)

# Reproducible: the time of the sources when it is given, else of this build.
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)

file(GLOB folders ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*)
list(PREPEND folders ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
foreach(folder IN LISTS folders)
        file(GLOB docs LIST_DIRECTORIES true ${folder}/usr/share/doc/*)
        foreach(doc IN LISTS docs)
                if(EXISTS ${doc}/copyright AND NOT EXISTS ${doc}/changelog.Debian.gz)
                        file(WRITE ${doc}/changelog.Debian "oxen-lite (${CPACK_PACKAGE_VERSION}-1) unstable; urgency=medium\n\n"
                                "  * Version ${CPACK_PACKAGE_VERSION}.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${now}\n")
                        execute_process(COMMAND gzip -9n ${doc}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
                endif()
        endforeach()
        file(GLOB pages ${folder}/usr/share/man/man[1-8]/*.[1-8])
        if(pages)
                execute_process(COMMAND gzip -9n ${pages} COMMAND_ERROR_IS_FATAL ANY)
        endif()
endforeach()
