// Choices that the environment makes until somebody else does.
#pragma once

#include <cstdlib>
#include <cstring>

namespace torchconv {

/// Whether a variable says yes; `otherwise`, if it is not set, or empty.
inline bool environment_says(const char* name, bool otherwise) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return otherwise;
  for (const char* no : {"0", "false", "False", "off", "no"}) {
    if (std::strcmp(value, no) == 0) return false;
  }
  return true;
}

}  // namespace torchconv
