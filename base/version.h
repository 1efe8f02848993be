// The version of all three programs; CMakeLists.txt holds the same (a test compares them).
#ifndef TOLLGATE_BASE_VERSION_H_
#define TOLLGATE_BASE_VERSION_H_

namespace tollgate {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace tollgate

#endif  // TOLLGATE_BASE_VERSION_H_
