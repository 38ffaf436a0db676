import Testing

@testable import Engine
@testable import X86

/// 32-bit code: protected mode from a boot loader on, and compatibility mode.
@Suite struct LegacyTests {
  private static let code = ProtectedBench.code, gdt = ProtectedBench.gdt
  private static let idt = ProtectedBench.idt, handlers = ProtectedBench.handlers

  private final class Bench: ProtectedBench {
    init?(engine: BackEnd = .standard) {
      // 64-bit code, code of programs, data of programs, a task.
      super.init(
        engine: engine,
        descriptors: [
          0x00af_9b00_0000_ffff, 0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff,
          0x0000_8900_a000_0067,
        ])
    }
  }

  /// - SeeAlso: Intel SDM volume 2, 'One-Byte Opcode Map'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func whatOnly32BitCodeHas(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    // mov eax,-1; inc eax; dec ecx; push eax; pusha; popa; pop edx; call +1; nop; mov ebx,[0x100000]
    bench[1] = 0
    bench.run(
      [
        0xb8, 0xff, 0xff, 0xff, 0xff, 0x40, 0x49, 0x50, 0x60, 0x61, 0x5a, 0xe8, 1, 0, 0, 0, 0x90,
        0x8b, 0x1d, 0, 0, 0x10, 0,
      ], 9)
    #expect(bench[0] == 0)
    #expect(bench[1] == 0xffff_ffff)
    #expect(bench[2] == 0)
    #expect(bench[3] == 0xffff_ffb8)
    #expect(bench[4] == 0x1f_fffc)
    #expect(bench.words(1) == [UInt32(Self.code + 16)])
    // lea eax,[bx+si-2] with 16-bit addresses; salc; aam; bound
    bench[3] = 0x1_fff0
    bench[6] = 0x20
    bench.run([0x67, 0x8d, 0x40, 0xfe, 0xf9, 0xd6, 0x37], 4)
    #expect(bench[0] == 0x205)
    bench.ram.store(0x50000, UInt64(5) << 32 | 1)
    bench[0] = 0x50000
    bench[1] = 6
    bench.run([0x62, 0x08])
    #expect(bench.isAt(5))
  }

  @Test(
    arguments: [
      // AL, AH, flags, opcode; AX and CF and AF behind it.
      (0x9b, 0, 0x00, [0x27], 0x01, 0x11), (0x0f, 0, 0x00, [0x27], 0x15, 0x10),
      (0x05, 0, 0x11, [0x2f], 0x9f, 0x11), (0x0b, 1, 0x00, [0x37], 0x0201, 0x11),
      (0x05, 2, 0x10, [0x3f], 0x000f, 0x11), (0x4b, 0, 0x00, [0xd4, 10], 0x0705, 0),
      (0x05, 7, 0x00, [0xd5, 10], 0x4b, 0),
    ] as [(UInt64, UInt64, UInt64, [UInt8], UInt64, UInt64)])
  func decimals(
    al: UInt64, ah: UInt64, flags: UInt64, code: [UInt8], result: UInt64, after: UInt64
  ) throws {
    let bench = try #require(Bench())
    bench[0] = ah << 8 | al
    RFlags.write(bench.x, flags | 2)
    bench.run(code)
    #expect(bench[0] == result)
    #expect(RFlags.read(bench.x) & 0x11 == after)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Protected-Mode Interrupt and Exception Operations'.
  @Test func gatesAndIRET() throws {
    let bench = try #require(Bench())
    bench.ram.write(Self.handlers + 0x30 * 16, [0xcf])
    bench.run([0xcd, 0x30, 0x0f, 0x0b])
    #expect(bench.isAt(0x30))
    #expect(bench.words(3) == [UInt32(Self.code + 2), 8, 2])
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.hart.pc == Self.code + 2)
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.isAt(6))
    // To a program and back by the task's stack.
    let user = try #require(Bench())
    user.ram.store(0xa004, UInt32(0x30_0000))
    user.ram.store(0xa008, UInt32(0x10))
    user.ram.store(Self.idt + 0x80 * 8 + 5, UInt8(0xee))
    // mov eax,0x30; ltr ax; push 0x2b; push 0x280000; pushf; push 0x23; push code+0x40; iret
    user.ram.write(Self.code + 0x40, [0xcd, 0x80])
    user.run(
      [
        0xb8, 0x30, 0, 0, 0, 0x0f, 0x00, 0xd8, 0x6a, 0x2b, 0x68, 0, 0, 0x28, 0, 0x9c, 0x6a, 0x23,
        0x68, 0x40, 0, 0x10, 0, 0xcf,
      ], 8)
    #expect(user.isa.privilege(user.hart) == 3)
    #expect(user[4] == 0x28_0000)
    _ = user.hart.run(until: user.hart.count + 1)
    #expect(user.isAt(0x80))
    #expect(user[4] == 0x30_0000 - 20)
    #expect(user.words(5) == [UInt32(Self.code + 0x42), 0x23, 2, 0x28_0000, 0x2b])
  }

  /// - SeeAlso: Intel SDM volume 3, '32-Bit Paging' and 'PAE Paging'.
  @Test(arguments: [false, true])
  func pagingWithoutLongMode(extended: Bool) throws {
    let bench = try #require(Bench())
    if extended {
      bench.ram.store(0x1000, UInt64(0x2001))
      for index in UInt64(0)..<2 { bench.ram.store(0x2000 + index * 8, index << 21 | 0x83) }
      bench.ram.store(0x2010, UInt64(0x3003))
      bench.ram.store(0x3000, UInt64(0x5_0003))
    } else {
      bench.ram.store(0x1000, UInt32(0x83))
      bench.ram.store(0x1004, UInt32(0x3003))
      bench.ram.store(0x3000, UInt32(0x5_0003))
    }
    let va: UInt64 = extended ? 4 << 20 : 4 << 20
    bench[3] = va
    bench[1] = extended ? CR4.physicalExtension : CR4.pageSize
    bench[0] = 0x8000_0011
    bench[2] = 0x1000
    // mov cr4,ecx; mov cr3,edx; mov cr0,eax; mov [ebx],eax; mov [ebx+4096],eax
    bench.run(
      [
        0x0f, 0x22, 0xe1, 0x0f, 0x22, 0xda, 0x0f, 0x22, 0xc0, 0x89, 0x03, 0x89, 0x83, 0, 0x10, 0, 0,
      ],
      4)
    #expect(bench.ram.load(0x5_0000, as: UInt32.self) == 0x8000_0011)
    #expect(bench.ram.load(0x3000, as: UInt32.self) == 0x5_0063)
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench.isAt(14))
    #expect(bench.words(2) == [2, UInt32(Self.code + 11)])
    #expect(bench.x[SystemSlot.faultAddress] == va + 0x1000)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Initializing IA-32e Mode'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func toLongModeAndBack(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine))
    bench.ram.store(0x1000, UInt64(0x2003))
    bench.ram.store(0x2000, UInt64(0x3003))
    for index in UInt64(0)..<2 { bench.ram.store(0x3000 + index * 8, index << 21 | 0x83) }
    bench[3] = 0x1000
    // mov eax,cr4; or eax,0x20; mov cr4,eax; mov cr3,ebx; mov ecx,0xc0000080; rdmsr; or ah,1; wrmsr
    // mov eax,0x80000011; mov cr0,eax; ljmp 0x18:code+0x100
    bench.run(
      [
        0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x20, 0x0f, 0x22, 0xe0, 0x0f, 0x22, 0xdb, 0xb9, 0x80, 0, 0,
        0xc0, 0x0f, 0x32, 0x80, 0xcc, 1, 0x0f, 0x30, 0xb8, 0x11, 0, 0, 0x80, 0x0f, 0x22, 0xc0, 0xea,
        0, 1, 0x10, 0, 0x18, 0,
      ], 10)
    #expect(bench.x[SystemSlot.efer] & EFER.longModeActive != 0)
    #expect(X64.isLegacy(bench.x))
    // In 64-bit code: mov rax,-1; push 8; push code+0x200; and there, in 32-bit code: inc eax; push eax
    bench.ram.write(
      Self.code + 0x100,
      [
        0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff, 0x6a, 8, 0x68, 0, 2, 0x10, 0, 0x48, 0xcb,
      ])
    bench.ram.write(Self.code + 0x200, [0x40, 0x50])
    _ = bench.hart.run(until: bench.hart.count + 5)
    #expect(bench.hart.pc == Self.code + 0x200)
    #expect(X64.isLegacy(bench.x))
    #expect(bench[0] == .max)
    _ = bench.hart.run(until: bench.hart.count + 2)
    #expect(bench[0] == 0)
    #expect(bench[4] == 0x20_0000 - 4)
  }

  /// Where an interrupt leads to a shutdown, no instruction follows.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Interrupt 8 - Double Fault Exception (#DF)'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func shutdownByAnInterrupt(engine: BackEnd) throws {
    let bench = try #require(ProtectedBench(engine: engine, descriptors: []))
    bench.x[SystemSlot.idtLimit] = 0
    bench.ram.write(ProtectedBench.code, [UInt8](repeating: 0x90, count: 32))
    bench.isa.interruptNonMaskably(bench.hart)
    #expect(bench.go(10) == .requested)
    #expect(bench.isa.isShutDown(bench.hart))
    #expect(bench.hart.pc == ProtectedBench.code)
    #expect(bench.hart.count == 0)
  }
}
