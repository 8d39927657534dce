// Languages: their interpreters, their compilers, and what they compile.

import { sameAsNative } from "./compare.ts";

sameAsNative("python3", ["/usr/bin/python3", "SCRIPTS/python.py"]);
