import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["built/"] },
  js.configs.recommended,
  { files: ["src/**"], languageOptions: { globals: globals.browser } },
  { files: ["tests/**", "*.js"], languageOptions: { globals: globals.node } },
];
