set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# Line tables are enough for a stack trace, and a third of the link time.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

option(TOLLGATE_BUILD_TESTS "Build the tests" ON)
option(TOLLGATE_BUILD_BENCH "Build the benchmarks" OFF)
set(TOLLGATE_SANITIZE "" CACHE STRING "address+undefined, thread, or empty")
option(TOLLGATE_THREAD_SAFETY "clang: treat thread-safety findings as errors" OFF)
# For packagers: another compiler's new warning is no reason not to build.
option(TOLLGATE_WERROR "Treat warnings in our own code as errors" ON)

# "tests": the tests, and what is compiled a second time. "all": the rooms too. Off, every file has to
# include what it uses, and tools see the command of each.
set(TOLLGATE_UNITY "tests" CACHE STRING "tests, all, or empty: what compiles several files at once")
option(TOLLGATE_FUZZ "clang: build tests/fuzz as fuzzers" OFF)
option(TOLLGATE_COVERAGE "Count the lines that run, for gcov" OFF)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Memory for time: g++ collects garbage less often.
add_compile_options($<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=524288>)

# Line tables alone (-g1) here too: they name the lines of a report, and full ones take longer to write than the code.
# asan's code is not optimized: to optimize what is instrumented costs more than it saves the tests. tsan's is: its tests
# race for minutes.
if(TOLLGATE_SANITIZE STREQUAL "address+undefined")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O0 -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(TOLLGATE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=thread)
elseif(TOLLGATE_SANITIZE)
  message(FATAL_ERROR "TOLLGATE_SANITIZE: '${TOLLGATE_SANITIZE}' is none of address+undefined, thread")
endif()

if(TOLLGATE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link -O1)
endif()
if(TOLLGATE_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic -g1)
  add_link_options(--coverage)
endif()

if(TOLLGATE_SANITIZE AND NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # g++ 12 sees uninitialised members in std::regex and std::function once they are instrumented.
  add_compile_options(-Wno-maybe-uninitialized)
endif()

# Two are left out on purpose: an override need not use all that it is given, and a field that an
# initializer leaves out has its default.
set(TOLLGATE_WARNINGS -Wall -Wextra -Werror=return-type -Werror=unused-result
    -Wno-unused-parameter -Wno-missing-field-initializers)
# Not where code is instrumented: g++ then sees what is not there.
if(TOLLGATE_WERROR AND NOT TOLLGATE_SANITIZE)
  list(APPEND TOLLGATE_WARNINGS -Werror)
endif()
if(TOLLGATE_THREAD_SAFETY)
  list(APPEND TOLLGATE_WARNINGS -Wthread-safety -Werror=thread-safety)
endif()

# For objects of a library that shows nothing but its API (validator/embedded).
set(TOLLGATE_HIDDEN -fvisibility=hidden -fvisibility-inlines-hidden -fno-semantic-interposition
    -ffunction-sections -fdata-sections)
if(TOLLGATE_SANITIZE STREQUAL "address+undefined")
  # Hidden, such an object has its own copy of a type's description; UBSan knows a type by its address.
  list(APPEND TOLLGATE_HIDDEN -fno-sanitize=vptr)
endif()
