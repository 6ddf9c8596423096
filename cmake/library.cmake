# SPDX-License-Identifier: MIT
# liboxenlite as others use it: one library with everything, shared and static, from the objects of the layers. Our own programs
# link the layers themselves, so that they run wherever they are copied.
#
#   liboxenlite.so.0     functions marked OXL_API, version OXENLITE_0 (cmake/oxenlite.map), nothing else
#   liboxenlite.a        the same objects
#   liboxl_durable.a     the atomic writes alone, for programs that want neither SQLite nor cJSON
set(OXL_SOVERSION 0)
set(objects $<TARGET_OBJECTS:oxl_durable> $<TARGET_OBJECTS:oxenlite>)

add_library(oxenlite_shared SHARED ${objects})
add_library(oxenlite_static STATIC ${objects})
foreach(target oxenlite_shared oxenlite_static)
        set_target_properties(${target} PROPERTIES OUTPUT_NAME oxenlite LINKER_LANGUAGE C)
        target_include_directories(${target} INTERFACE
                $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/lib/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
set_target_properties(oxenlite_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${OXL_SOVERSION}
        EXPORT_NAME oxenlite LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/oxenlite.map)
set_target_properties(oxenlite_static PROPERTIES EXPORT_NAME static)

target_link_libraries(oxenlite_shared PRIVATE $<BUILD_INTERFACE:oxl_options> $<BUILD_INTERFACE:oxl_blake3>
        $<BUILD_INTERFACE:PkgConfig::XXHASH> $<BUILD_INTERFACE:PkgConfig::SQLITE> $<BUILD_INTERFACE:PkgConfig::CJSON>
        Threads::Threads)
target_link_options(oxenlite_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/oxenlite.map)
if(NOT OXL_SANITIZE) # whose run-time library is in the program
        target_link_options(oxenlite_shared PRIVATE -Wl,--no-undefined)
endif()

# Who links the archive links these as well, by their plain names: no find modules of ours are needed.
target_link_libraries(oxenlite_static PRIVATE $<BUILD_INTERFACE:oxl_blake3>
        INTERFACE $<INSTALL_INTERFACE:xxhash> $<INSTALL_INTERFACE:sqlite3> $<INSTALL_INTERFACE:cjson> Threads::Threads)
if(OXL_BLAKE3_PC)
        target_link_libraries(oxenlite_static INTERFACE $<INSTALL_INTERFACE:blake3>)
endif()
