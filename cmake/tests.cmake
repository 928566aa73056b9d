# Unit tests, fuzz targets, examples and benchmarks; included by the top CMakeLists.txt.

bruit_find(CMOCKA libcmocka-dev cmocka)
bruit_find(MSGPACK "libmsgpack-dev (libmsgpack-c-dev on newer systems)" msgpack-c msgpack)
find_package(Python3 COMPONENTS Interpreter REQUIRED)
if(NOT TARGET PkgConfig::JANSSON)
    bruit_find(JANSSON libjansson-dev jansson)
endif()

set(BRUIT_VECTORS ${CMAKE_CURRENT_SOURCE_DIR}/tests/vectors)
add_library(bruit-test-flags INTERFACE)
target_include_directories(bruit-test-flags INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/tests)
target_compile_definitions(bruit-test-flags INTERFACE _GNU_SOURCE= BRUIT_TEST_VECTORS="${BRUIT_VECTORS}"
    BRUIT_TEST_SOURCE="${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(bruit-test-flags INTERFACE bruit-flags)

# Helpers that tests share. An archive: a test of a low layer takes what it needs and no more.
file(GLOB support CONFIGURE_DEPENDS tests/support/*.c)
if(support)
    add_library(br-support STATIC ${support})
    target_link_libraries(br-support PRIVATE bruit-test-flags PkgConfig::CMOCKA PkgConfig::JANSSON PkgConfig::MSGPACK)
    target_include_directories(br-support PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/include)
else()
    add_library(br-support INTERFACE)
endif()

# What a test of each layer is linked with: its own layer and the ones below.
set(BRUIT_TEST_LINK_base br-base)
set(BRUIT_TEST_LINK_codec br-codec br-cipher br-base)
set(BRUIT_TEST_LINK_cipher br-cipher br-codec br-base)
set(BRUIT_TEST_LINK_member br-member br-codec br-cipher br-base)
set(BRUIT_TEST_LINK_detect br-detect br-member br-codec br-cipher br-base)
set(BRUIT_TEST_LINK_spread br-spread br-member br-codec br-cipher br-base)
set(BRUIT_TEST_LINK_module br-module br-member br-codec br-cipher br-base)
set(BRUIT_TEST_LINK_engine br-engine br-cipher)
set(BRUIT_TEST_LINK_sim br-sim-tool br-sim-model br-sim br-engine br-cipher)
set(BRUIT_TEST_LINK_uv br-uv br-engine br-cipher)
# The status module calls the engine that hosts it. A test that needs the module alone must take the engine first.
set(BRUIT_HOSTED -Wl,-u,bruit_engine_new)
set(BRUIT_TEST_LINK_agent ${BRUIT_HOSTED} br-agent br-uv br-engine br-cipher)
set(BRUIT_TEST_LINK_cli ${BRUIT_HOSTED} br-cli br-agent br-uv br-engine br-cipher)
set(BRUIT_TEST_LAYERS base codec cipher member detect spread module engine sim uv agent cli)

foreach(layer IN LISTS BRUIT_TEST_LAYERS)
    file(GLOB tests CONFIGURE_DEPENDS tests/${layer}/test_*.c)
    foreach(source IN LISTS tests)
        get_filename_component(name ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" name ${name})
        set(target test-${layer}-${name})
        add_executable(${target} ${source})
        target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/include)
        target_link_libraries(${target} PRIVATE bruit-test-flags br-support ${BRUIT_TEST_LINK_${layer}}
            PkgConfig::CMOCKA PkgConfig::JANSSON PkgConfig::MSGPACK m)
        set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests/${layer})
        add_test(NAME ${layer}/${name} COMMAND ${target})
        set_tests_properties(${layer}/${name} PROPERTIES LABELS unit TIMEOUT 600)
        if(layer MATCHES "^(uv|agent|cli)$")
            # These run in real time over real sockets: a busy neighbour would be judged with them.
            set_tests_properties(${layer}/${name} PROPERTIES LABELS "unit;realtime" RUN_SERIAL TRUE)
        endif()
    endforeach()
endforeach()

# Deliberate mistakes for the swarm's checks: calls to these functions come to the test first, which may pass them on.
if(TARGET test-sim-swarm_bugs)
    foreach(function suspicion_pop_due transition probe_ack claim_reap alloc_free queue_take claim_suspect)
        target_link_options(test-sim-swarm_bugs PRIVATE -Wl,--wrap=br_${function})
    endforeach()
endif()

# And for those of the campaign of replicated state.
if(TARGET test-sim-state_bugs)
    foreach(function bruit_host_store br_kv_context_covers br_kv_store_root br_kv_store_put bruit_kv_done_read)
        target_link_options(test-sim-state_bugs PRIVATE -Wl,--wrap=${function})
    endforeach()
endif()

# Same seed, same inputs, same hash: a program that prints it. `check --all` compares four builds of it.
file(GLOB determinism CONFIGURE_DEPENDS tests/determinism/*.c)
if(determinism)
    add_executable(determinism ${determinism})
    target_include_directories(determinism PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_link_libraries(determinism PRIVATE bruit-test-flags br-support br-sim br-engine br-cipher)
    if(NOT BRUIT_FUZZ)
        add_test(NAME determinism COMMAND determinism)
        set_tests_properties(determinism PROPERTIES LABELS unit TIMEOUT 600)
    endif()
endif()

# Each fuzz/fuzz_NAME.c is a libFuzzer target in a fuzz build. In every other build the same file is linked with
# fuzz/standalone.c, which runs the target over the files of fuzz/corpus/NAME once, as a test.
file(GLOB fuzzers CONFIGURE_DEPENDS fuzz/fuzz_*.c)
foreach(source IN LISTS fuzzers)
    get_filename_component(target ${source} NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" name ${target})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
    if(BRUIT_FUZZ)
        add_executable(${target} ${source})
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${target} ${source} fuzz/standalone.c)
        add_test(NAME fuzz/${name} COMMAND ${target} ${corpus})
        set_tests_properties(fuzz/${name} PROPERTIES LABELS "unit;fuzz" TIMEOUT 120)
    endif()
    target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR}/fuzz)
    if(name MATCHES "^(rpc|mdns|config|snapshot)$") # the agent's
        target_link_libraries(${target} PRIVATE ${BRUIT_HOSTED} br-agent br-uv)
    endif()
    if(name STREQUAL "scenario") # the simulator's
        target_link_libraries(${target} PRIVATE br-sim-tool br-sim)
    endif()
    target_link_libraries(${target} PRIVATE bruit-test-flags br-support br-engine br-cipher)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fuzz)
endforeach()

# Examples are programs as users write them: public headers and the installed libraries, nothing else.
if(TARGET bruit-static)
    file(GLOB examples CONFIGURE_DEPENDS examples/*.c)
    foreach(source IN LISTS examples)
        get_filename_component(name ${source} NAME_WE)
        file(STRINGS ${source} wants_uv REGEX "#include <bruit/uv.h>")
        file(STRINGS ${source} wants_sim REGEX "#include <bruit/sim.h>")
        file(STRINGS ${source} wants_cipher REGEX "#include <bruit/cipher.h>")
        add_executable(example-${name} ${source})
        target_compile_options(example-${name} PRIVATE -Wall -Wextra -Wpedantic $<$<BOOL:${BRUIT_WERROR}>:-Werror>)
        # Only for the sanitizers the libraries were built with.
        if(BRUIT_SANITIZE)
            target_link_options(example-${name} PRIVATE -fsanitize=${BRUIT_SANITIZE})
        elseif(BRUIT_FUZZ)
            target_link_options(example-${name} PRIVATE -fsanitize=address,undefined)
        endif()
        if(wants_uv AND TARGET bruit-uv-static)
            target_link_libraries(example-${name} PRIVATE bruit-uv-static)
            target_compile_definitions(example-${name} PRIVATE _GNU_SOURCE=)
        endif()
        if(wants_cipher AND TARGET bruit-openssl-static)
            target_link_libraries(example-${name} PRIVATE bruit-openssl-static)
        endif()
        if(wants_sim AND TARGET bruit-sim-static)
            target_link_libraries(example-${name} PRIVATE bruit-sim-static)
        endif()
        target_link_libraries(example-${name} PRIVATE bruit-static)
        set_target_properties(example-${name} PROPERTIES OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/examples)
        # An example that ends by itself is a test too; the ones that serve until stopped say so in their comment.
        file(STRINGS ${source} serves REGEX "runs until stopped")
        if(NOT serves)
            add_test(NAME examples/${name} COMMAND example-${name})
            set_tests_properties(examples/${name} PROPERTIES LABELS "unit;example" TIMEOUT 60)
        endif()
    endforeach()
endif()

if(NOT BRUIT_FUZZ)
    file(GLOB benches CONFIGURE_DEPENDS bench/*.c)
    foreach(source IN LISTS benches)
        get_filename_component(name ${source} NAME_WE)
        add_executable(bench-${name} ${source})
        target_include_directories(bench-${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/include)
        target_link_libraries(bench-${name} PRIVATE bruit-test-flags br-support br-sim br-uv br-engine
            br-cipher PkgConfig::JANSSON PkgConfig::MSGPACK m)
        if(name STREQUAL "sim")
            target_link_libraries(bench-sim PRIVATE br-sim-whole)
            set_target_properties(bench-sim PROPERTIES INTERPROCEDURAL_OPTIMIZATION "${BRUIT_SIM_WHOLE}")
        endif()
        set_target_properties(bench-${name} PROPERTIES OUTPUT_NAME ${name}
            RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/bench)
    endforeach()
endif()

# Scenarios from real incidents. What stands in known-gaps must be found to fail: when one does not any more, it moves.
if(TARGET bruit-sim-program AND NOT BRUIT_FUZZ)
    file(GLOB scenarios CONFIGURE_DEPENDS tests/scenarios/*.scn tests/scenarios/known-gaps/*.scn)
    foreach(source IN LISTS scenarios)
        get_filename_component(name ${source} NAME_WE)
        add_test(NAME scenario/${name} COMMAND bruit-sim-program run ${source})
        set_tests_properties(scenario/${name} PROPERTIES LABELS unit TIMEOUT 300)
        if(source MATCHES "/known-gaps/")
            set_tests_properties(scenario/${name} PROPERTIES PASS_REGULAR_EXPRESSION
                "Verdict: (correctness|liveness)\\.")
        endif()
    endforeach()
endif()

# The program's commands as somebody types them.
if(TARGET bruit-sim-program AND NOT BRUIT_FUZZ)
    add_test(NAME sim/commands COMMAND Python3::Interpreter
        ${CMAKE_CURRENT_SOURCE_DIR}/tests/sim/commands.py --bruit-sim $<TARGET_FILE:bruit-sim-program>)
    set_tests_properties(sim/commands PROPERTIES LABELS unit TIMEOUT 300 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endif()

# Recorded configurations of real agents, against the program.
if(TARGET bruit AND NOT BRUIT_FUZZ)
    add_test(NAME agent/config-cases COMMAND Python3::Interpreter
        ${CMAKE_CURRENT_SOURCE_DIR}/tests/agent/config_cases.py --bruit $<TARGET_FILE:bruit>)
    set_tests_properties(agent/config-cases PROPERTIES LABELS "unit;realtime" RUN_SERIAL TRUE TIMEOUT 180
        ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endif()

# The simulator is a program of its own, which `bruit sim` finds beside itself.
if(TARGET bruit AND TARGET bruit-sim-program AND NOT BRUIT_FUZZ)
    add_test(NAME cli/sim COMMAND bruit sim spread --nodes 10 --trials 5 --seed 77)
    set_tests_properties(cli/sim PROPERTIES LABELS unit TIMEOUT 60 PASS_REGULAR_EXPRESSION "seed +77\n.*What it took")
endif()
if(TARGET bruit AND NOT BRUIT_FUZZ)
    add_test(NAME cli/mistyped COMMAND bruit membrs)
    set_tests_properties(cli/mistyped PROPERTIES LABELS unit TIMEOUT 10
        PASS_REGULAR_EXPRESSION "there is no command 'membrs': did you mean 'members'\\?\n")
endif()

# The recorded vectors, checked by the decoders that came with them.
if(EXISTS ${BRUIT_VECTORS}/decode.py AND NOT BRUIT_FUZZ)
    add_test(NAME vectors/memberlist COMMAND Python3::Interpreter decode.py --selftest
        --formulas memberlist-formulas.json --check memberlist WORKING_DIRECTORY ${BRUIT_VECTORS})
    add_test(NAME vectors/serf COMMAND Python3::Interpreter serf_decode.py check WORKING_DIRECTORY ${BRUIT_VECTORS})
    set_tests_properties(vectors/memberlist vectors/serf PROPERTIES LABELS "unit;vectors" TIMEOUT 120
        ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endif()
