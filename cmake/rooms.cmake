# tollgate_unity(TARGET [files]): compiles several files of the target at once, which takes a third of
# the time: what they include is read, and its templates are made, once (TOLLGATE_UNITY). The files
# named go by themselves: each has a name of its own, in a nameless namespace, that another has too.
function(tollgate_unity name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  # CMake names the files by their whole paths, which neither a log nor a library is to show.
  target_compile_options(${name} PRIVATE -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# tollgate_unity_of_rooms(TARGET): the same, for sources of rooms that are compiled once more.
function(tollgate_unity_of_rooms name)
  if(TOLLGATE_UNITY)
    get_property(apart GLOBAL PROPERTY TOLLGATE_APART)
    tollgate_unity(${name} ${apart})
  endif()
endfunction()

# tollgate_room(NAME SOURCES ... DEPS ... [APART files]): one library target of one room.
# Includes are written from the top of the tree: #include "token/digest.h". APART: tollgate_unity.
function(tollgate_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;APART" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  foreach(source ${ARG_APART})
    set_property(GLOBAL APPEND PROPERTY TOLLGATE_APART ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  endforeach()
  if(TOLLGATE_UNITY STREQUAL "all")
    tollgate_unity(${name} ${ARG_APART})
  endif()
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${TOLLGATE_WARNINGS})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
endfunction()

# What the thread sanitizer must be told, and what it must not see, in an executable (tests/tsan).
function(tollgate_under_tsan name)
  if(TOLLGATE_SANITIZE STREQUAL "thread")
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/tsan/abseil_locks.cc)
    target_link_libraries(${name} PRIVATE absl::synchronization ${CMAKE_DL_LIBS})
    # mold exports from an executable what a version script keeps back; GNU ld does not.
    target_link_options(${name} PRIVATE
      -fuse-ld=bfd -Wl,--version-script=${PROJECT_SOURCE_DIR}/tests/tsan/exports.map)
    set_target_properties(${name} PROPERTIES
      LINK_DEPENDS ${PROJECT_SOURCE_DIR}/tests/tsan/exports.map)
  endif()
endfunction()

# tollgate_program(NAME SOURCES ... DEPS ...): one executable, in bin/.
function(tollgate_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${TOLLGATE_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  tollgate_under_tsan(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# tollgate_test(NAME SOURCES ... DEPS ... [APART files] [LABELS ...] [TIMEOUT seconds] [SINGLE_THREADED]):
# one gtest program, one ctest entry. Labels: unit (the default), conformance,
# crash, faults, e2e; `make test` runs unit, conformance and crash under asan
# as well. A program also has the label threads, and runs under tsan, unless it
# is SINGLE_THREADED: neither it nor what it tests starts a thread.
#
# What is tested is optimized as it ships; the test's own code is not, because to optimize what runs
# once takes a third of the compiler's time, and half of it where code is instrumented.
function(tollgate_test name)
  cmake_parse_arguments(ARG "SINGLE_THREADED" "TIMEOUT" "SOURCES;DEPS;APART;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${TOLLGATE_WARNINGS} -O0)
  target_compile_definitions(${name} PRIVATE
    TOLLGATE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" TOLLGATE_BIN_DIR="${PROJECT_BINARY_DIR}/bin")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  tollgate_under_tsan(${name})
  if(TOLLGATE_UNITY)
    tollgate_unity(${name} ${ARG_APART})
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_SINGLE_THREADED)
    list(APPEND ARG_LABELS threads)
    set_property(GLOBAL APPEND PROPERTY TOLLGATE_THREADED_TESTS ${name})
  endif()
  set_property(GLOBAL APPEND PROPERTY TOLLGATE_TESTS ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if(TOLLGATE_SANITIZE STREQUAL "address+undefined")
    find_program(TOLLGATE_SYMBOLIZER NAMES llvm-symbolizer-19 llvm-symbolizer)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT
      "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/asan/leaks.txt;ASAN_SYMBOLIZER_PATH=${TOLLGATE_SYMBOLIZER}")
  endif()
endfunction()

# What a build for some of the tests needs, and no more (scripts/test): call it after all of them.
#   sanitized_tests: the programs of tollgate_test, and the fuzz targets.
#   threaded_tests:  those with the label threads.
function(tollgate_test_targets)
  get_property(tests GLOBAL PROPERTY TOLLGATE_TESTS)
  get_property(threaded GLOBAL PROPERTY TOLLGATE_THREADED_TESTS)
  get_property(fuzz GLOBAL PROPERTY TOLLGATE_FUZZ_TARGETS)
  add_custom_target(sanitized_tests)
  add_dependencies(sanitized_tests ${tests} ${fuzz})
  add_custom_target(threaded_tests)
  add_dependencies(threaded_tests ${threaded})
endfunction()
