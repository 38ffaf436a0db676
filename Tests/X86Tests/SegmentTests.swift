import Testing

@testable import Engine
@testable import X86

/// Segments with bases, limits and types in protected mode without paging.
@Suite struct SegmentTests {
  private static let code = ProtectedBench.code, gdt = ProtectedBench.gdt
  private static let idt = ProtectedBench.idt, handlers = ProtectedBench.handlers

  private final class Bench: ProtectedBench {
    init?(engine: BackEnd, _ descriptor: UInt64) {
      super.init(
        engine: engine,
        descriptors: [
          descriptor,
          // 0x20: a task of 16 bits at 0xa000; 0x28: code of programs; 0x30: data of programs.
          0x0000_8100_a000_002b, 0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff,
          // 0x38: a stack of 16 bits at 0x30000.
          0x0000_9303_0000_ffff,
        ])
    }
  }

  /// MOV DS from AX, then an access.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Limit Checking', 'Type Checking' and 'Segment Descriptors'.
  @Test(
    arguments: [
      // A base; a limit, its last byte and the next; an address that goes round.
      (0x0040_9301_0000_0fff, [0xa1, 0xfc, 0x0f, 0, 0], []),
      (0x0040_9301_0000_0fff, [0xa1, 0xfd, 0x0f, 0, 0], [13, 0]),
      (0x0040_9301_0000_0fff, [0xa2, 0xff, 0x0f, 0, 0], []),
      (0x00cf_9301_0000_ffff, [0xa1, 0xfc, 0xff, 0xff, 0xff], []),
      // Data to be read only; code that can be read, and its being written to.
      (0x00cf_9100_0000_ffff, [0xa1, 0, 0, 2, 0], []),
      (0x00cf_9100_0000_ffff, [0xa3, 0, 0, 2, 0], [13, 0]),
      (0x00cf_9100_0000_ffff, [0x83, 0x05, 0, 0, 2, 0, 1], [13, 0]),
      (0x00cf_9100_0000_ffff, [0x83, 0x3d, 0, 0, 2, 0, 1], []),
      (0x00cf_9b00_0000_ffff, [0xa3, 0, 0, 2, 0], [13, 0]),
      // What expands down: above the limit, up to 64 KiB or 4 GiB.
      (0x0000_9700_0000_0fff, [0xa1, 0xff, 0x0f, 0, 0], [13, 0]),
      (0x0000_9700_0000_0fff, [0xa1, 0x00, 0x10, 0, 0], []),
      (0x0000_9700_0000_0fff, [0xa1, 0xfd, 0xff, 0, 0], [13, 0]),
      (0x0040_9700_0000_0fff, [0xa1, 0xfd, 0xff, 0, 0], []),
      // Strings and tables.
      (0x0040_9301_0000_0fff, [0xac], []), (0x0040_9301_0000_0fff, [0xd7], []),
      (0x0040_9301_0000_00ff, [0xac], [13, 0]), (0x0040_9301_0000_00ff, [0xd7], [13, 0]),
      // Through another segment all is as before; code is not written to by any name.
      (0x0040_9301_0000_00ff, [0x26, 0xa1, 0, 0, 2, 0], []),
      (0x0040_9301_0000_00ff, [0x2e, 0xa1, 0, 0, 2, 0], []),
      (0x0040_9301_0000_00ff, [0x2e, 0xa3, 0, 0, 2, 0], [13, 0]),
      // FXSAVE's 512 bytes.
      (0x0040_9301_0000_01ff, [0x0f, 0xae, 0x05, 0, 0, 0, 0], []),
      (0x0040_9301_0000_01fe, [0x0f, 0xae, 0x05, 0, 0, 0, 0], [13, 0]),
    ] as [(UInt64, [UInt8], [UInt64])])
  func dataAccesses(descriptor: UInt64, code: [UInt8], fault: [UInt64]) throws {
    for engine in [BackEnd.interpreter, .jit] {
      let bench = try #require(Bench(engine: engine, descriptor))
      bench[0] = 0x18
      bench[6] = 0x200
      bench[3] = 0x200
      bench.run([0x8e, 0xd8])
      try #require(bench.fault == [])
      bench.run(code)
      #expect(bench.fault == fault, "\(code) \(engine)")
      if fault.isEmpty {
        #expect(bench.hart.pc == Self.code + 2 + UInt64(code.count))
      } else {
        #expect(UInt64(bench.word(bench[4] + 4)) == Self.code + 2)
      }
    }
  }

  /// Loads of segment registers that fault, and the null selector.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'MOV - Move', 'Protected Mode Exceptions'.
  @Test(
    arguments: [
      // DS: not present; execute-only; a system descriptor. SS: not present; not to be written to.
      (0x00cf_1300_0000_ffff, 0x18, 0xd8, [11, 0x18]),
      (0x00cf_9900_0000_ffff, 0x18, 0xd8, [13, 0x18]),
      (0x0000_8200_0000_ffff, 0x18, 0xd8, [13, 0x18]),
      (0x00cf_1300_0000_ffff, 0x18, 0xd0, [12, 0x18]),
      (0x00cf_9100_0000_ffff, 0x18, 0xd0, [13, 0x18]),
      (0x00cf_9300_0000_ffff, 0x00, 0xd0, [13, 0]),
      (0x00cf_9300_0000_ffff, 0x40, 0xd8, [13, 0x40]), (0x00cf_9300_0000_ffff, 0x00, 0xd8, []),
    ] as [(UInt64, UInt64, UInt8, [UInt64])])
  func loads(descriptor: UInt64, selector: UInt64, modRM: UInt8, fault: [UInt64]) throws {
    let bench = try #require(Bench(engine: .interpreter, descriptor))
    bench[0] = selector
    bench.run([0x8e, modRM])
    #expect(bench.fault == fault)
    guard fault.isEmpty else { return }
    // Nothing can be accessed through it; but through another.
    bench.run([0xa1, 0, 0, 2, 0])
    #expect(bench.fault == [13, 0])
  }

  /// Code with a base and a limit: offsets are saved, and branches are checked.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'JMP - Jump', 'CALL - Call Procedure', 'RET - Return From Procedure'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func codeWithABase(engine: BackEnd) throws {
    func bench() throws -> Bench {
      // 0x103000 to 0x103fff.
      let bench = try #require(Bench(engine: engine, 0x0040_9b10_3000_0fff))
      // ljmp 0x18:0x100
      bench.run([0xea, 0, 1, 0, 0, 0x18, 0])
      try #require(bench.hart.pc == 0x10_3100)
      return bench
    }
    let calls = try bench()
    // call +0x10; there: ret; then jz +2, not taken, and jnz +2, taken.
    calls.ram.write(0x10_3115, [0xc3])
    calls.run([0xe8, 0x10, 0, 0, 0, 0x75, 0x02, 0x74, 0x02])
    #expect(calls.word(calls[4]) == 0x105)
    _ = calls.hart.run(until: calls.hart.count + 1)
    #expect(calls.hart.pc == 0x10_3105)
    StatusFlags.set(calls.x, StatusFlags.zero)
    _ = calls.hart.run(until: calls.hart.count + 2)
    #expect(calls.hart.pc == 0x10_310b)
    // A frame has offsets; the handler's segment is flat; IRET leads back.
    calls.ram.write(Self.handlers + 0x300, [0xcf])
    calls.run([0xcd, 0x30])
    #expect(calls.hart.pc == Self.handlers + 0x300)
    #expect(calls.word(calls[4]) == 0x10d)
    #expect(calls.word(calls[4] + 4) == 0x18)
    _ = calls.hart.run(until: calls.hart.count + 1)
    #expect(calls.hart.pc == 0x10_310d)
    // Beyond the limit: a branch, one that is not taken, a call by register, the next instruction.
    for (code, expected) in [
      ([0xe9, 0, 0x10, 0, 0], [13, 0]), ([0x0f, 0x84, 0, 0x10, 0, 0], []),
      ([0xff, 0xd1], [13, 0]),
      ([0xff, 0xe2], []),
    ] as [([UInt8], [UInt64])] {
      let other = try bench()
      other[1] = 0x1000
      other[2] = 0xfff
      other.run(code)
      #expect(other.fault == expected, "\(code)")
      if code[1] == 0xe2 {
        // Its last byte is within, the next one is not; nor is all of a longer one.
        other.run([0x90, 0x90], 2)
        #expect(other.fault == [13, 0])
        #expect(other.word(other[4] + 4) == 0x1000)
        let long = try bench()
        long[2] = 0xffe
        long.run(code)
        long.run([0xb8, 1, 2, 3, 4])
        #expect(long.fault == [13, 0])
        #expect(long.word(long[4] + 4) == 0xffe)
      }
    }
  }

  /// A stack of 16 bits in 32-bit code, and gates and tasks of 16 bits.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Address-Size Attributes for Stack Accesses'; volume 3, '16-Bit
  ///   Task-State Segment (TSS)'.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func stacksOf16Bits(engine: BackEnd) throws {
    let bench = try #require(Bench(engine: engine, 0x00cf_9300_0000_ffff))
    bench[0] = 0x38
    bench[4] = 0x7777_0002
    bench[1] = 0x1234_5678
    // mov ss,eax; push cx; push ecx (round the end); pop edx; enter 4,0; leave
    bench.run(
      [0x8e, 0xd0, 0x66, 0x51, 0x51, 0x5a, 0xc8, 4, 0, 0, 0xc9], 4)
    #expect(bench.word(0x3_0000) & 0xffff == 0x5678)
    #expect(bench.word(0x3_fffc) == 0x1234_5678)
    #expect(bench[2] == 0x1234_5678)
    #expect(bench[4] == 0x7777_0000)
    bench[5] = 0x55
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench[5] == 0xfffc)
    #expect(bench[4] == 0x7777_fff8)
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(bench[5] == 0x55)
    #expect(bench[4] == 0x7777_0000)
    // A gate of 16 bits.
    bench.ram.store(Self.idt + 0x31 * 8, UInt64(0x0000_8600_0008_4000))
    bench.ram.write(0x4000, [0x66, 0xcf])
    bench.run([0xcd, 0x31])
    #expect(bench.hart.pc == 0x4000)
    #expect(bench[4] & 0xffff == 0xfffa)
    // A push that goes round in its middle is beyond the limit.
    let odd = try #require(Bench(engine: engine, 0x0000_9303_0000_ffff))
    odd[0] = 0x38
    odd[4] = 1
    odd.run([0x8e, 0xd0, 0x51], 2)
    #expect(odd.isa.isShutDown(odd.hart))
    // From a program by a 16-bit task's stack.
    let user = try #require(Bench(engine: engine, 0x00cf_9300_0000_ffff))
    user.ram.store(0xa002, UInt16(0x8000))
    user.ram.store(0xa004, UInt16(0x38))
    user.ram.store(Self.idt + 0x80 * 8 + 5, UInt8(0xee))
    user.ram.write(Self.code + 0x40, [0xcd, 0x80])
    // mov eax,0x20; ltr ax; push 0x33; push 0x280000; pushf; push 0x2b; push code+0x40; iret
    user.run(
      [
        0xb8, 0x20, 0, 0, 0, 0x0f, 0x00, 0xd8, 0x6a, 0x33, 0x68, 0, 0, 0x28, 0, 0x9c, 0x6a, 0x2b,
        0x68, 0x40, 0, 0x10, 0, 0xcf,
      ], 8)
    #expect(user.isa.privilege(user.hart) == 3)
    _ = user.hart.run(until: user.hart.count + 1)
    #expect(user.hart.pc == Self.handlers + 0x800)
    #expect(user[4] & 0xffff == 0x8000 - 20)
    #expect(user.word(0x3_8000 - 20) == UInt32(Self.code + 0x42))
    #expect(user.word(0x3_8000 - 8) == 0x28_0000)
  }
}
