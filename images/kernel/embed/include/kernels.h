// The committed guest kernel images, as bytes.
#ifndef EMU_KERNELS_H
#define EMU_KERNELS_H
extern const unsigned char emu_kernel_riscv64[];
extern const unsigned char emu_kernel_riscv64_end[];
static inline const void *emu_kernel_riscv64_bytes(void) { return emu_kernel_riscv64; }
static inline unsigned long emu_kernel_riscv64_size(void) {
  return (unsigned long)(emu_kernel_riscv64_end - emu_kernel_riscv64);
}
extern const unsigned char emu_kernel_x86_64[];
extern const unsigned char emu_kernel_x86_64_end[];
static inline const void *emu_kernel_x86_64_bytes(void) { return emu_kernel_x86_64; }
static inline unsigned long emu_kernel_x86_64_size(void) {
  return (unsigned long)(emu_kernel_x86_64_end - emu_kernel_x86_64);
}
extern const unsigned char emu_selftest_riscv64[];
extern const unsigned char emu_selftest_riscv64_end[];
extern const unsigned char emu_selftest_x86_64[];
extern const unsigned char emu_selftest_x86_64_end[];
static inline const void *emu_selftest_x86_64_bytes(void) { return emu_selftest_x86_64; }
static inline unsigned long emu_selftest_x86_64_size(void) {
  return (unsigned long)(emu_selftest_x86_64_end - emu_selftest_x86_64);
}
static inline const void *emu_selftest_riscv64_bytes(void) { return emu_selftest_riscv64; }
static inline unsigned long emu_selftest_riscv64_size(void) {
  return (unsigned long)(emu_selftest_riscv64_end - emu_selftest_riscv64);
}
#endif
