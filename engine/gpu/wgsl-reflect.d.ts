/** The package's ES module entry has no typings of its own path; they are those of its root. */
declare module "wgsl_reflect/wgsl_reflect.module.js" {
  export * from "wgsl_reflect";
}
