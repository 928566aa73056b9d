# The program bruit-sim: everything in src/sim that is not the world of <bruit/sim.h>; included by the top
# CMakeLists.txt. No library of its own but the C library, POSIX threads and libm.

# The files that go into an HTML page, as bytes: one C file, with a function for each (src/sim/html/embedded.h).
set(embedded ${CMAKE_CURRENT_BINARY_DIR}/generated/sim/html/embedded.c)
string(CONCAT embedded_text "/* Made of the files in src/sim/html by cmake/sim-program.cmake. */\n"
    "#include \"sim/html/embedded.h\"\n")
foreach(name page.css page.js uplot.css uplot.js uplot.license)
    set(path ${CMAKE_CURRENT_SOURCE_DIR}/src/sim/html/${name})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REPLACE "." "_" function ${name})
    string(APPEND embedded_text "\nstatic const uint8_t ${function}[] = {${bytes}};\n"
        "struct bruit_bytes br_html_${function}(void)\n{\n"
        "    return (struct bruit_bytes){.data = ${function}, .size = sizeof ${function}};\n}\n")
endforeach()
file(CONFIGURE OUTPUT ${embedded} CONTENT "${embedded_text}" @ONLY)

find_package(Threads REQUIRED)
bruit_layer(sim-model sim/model LINK br-base Threads::Threads)
# Numbers by the million: fast in debug builds, too, so that the tests of the tables take seconds.
target_compile_options(br-sim-model PRIVATE $<$<CONFIG:Debug>:-O2>)
bruit_layer(sim-tool sim EXCLUDE "${BRUIT_SIM_WORLD}|/main\\.c$" LINK br-sim-model br-sim br-cipher m)
target_sources(br-sim-tool PRIVATE ${embedded})
add_executable(bruit-sim-program src/sim/main.c)
set_target_properties(bruit-sim-program PROPERTIES OUTPUT_NAME bruit-sim)
target_link_libraries(bruit-sim-program PRIVATE bruit-flags br-sim-whole br-sim-tool)
set_target_properties(bruit-sim-program PROPERTIES INTERPROCEDURAL_OPTIMIZATION "${BRUIT_SIM_WHOLE}")
foreach(target br-sim-model br-sim-tool bruit-sim-program)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE= BRUIT_VERSION="${PROJECT_VERSION}")
endforeach()
target_link_options(bruit-sim-program PRIVATE $<$<CONFIG:Release>:-s>)
install(TARGETS bruit-sim-program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
