import Testing

@testable import Engine
@testable import X86

/// Status flags that compiled code has told nobody yet, where a way leads out of it.
@Suite struct FlagPathTests {
  private static let code: UInt64 = 0x1_0000, handler: UInt64 = 0x3_0000
  private static let gdt: UInt64 = 0x1000, idt: UInt64 = 0x2000, tables: UInt64 = 0x8000
  /// Not present.
  private static let hole: UInt64 = 0xf_f000
  /// OF, SF, AF and PF: 0x7fffffff + 1.
  private static let overflow: UInt64 = 0x894
  private static let status: UInt64 = 0x8d5

  private func hart(_ engine: BackEnd, _ code: [UInt8]) throws -> Hart {
    var options = JITOptions()
    options.threshold = 1
    let bench = try #require(TestHart(memory: 1 << 20, engine: engine, jit: options))
    bench.enterPaged(pc: Self.code, tables: Self.tables)
    bench.setDescriptors([0, 0, 0x00af_9b00_0000_ffff], at: Self.gdt, limit: 127)
    let gate = Self.handler & 0xffff | 0x10 << 16 | 0x8e00 << 32 | (Self.handler >> 16) << 48
    for vector: UInt64 in [13, 14] { bench.ram.store(Self.idt + vector * 16, gate) }
    bench.x[SystemSlot.idtBase] = Self.idt
    bench.x[SystemSlot.idtLimit] = 4095
    bench[4] = 0x4_0000
    bench[3] = 0x5_0000
    bench[7] = 1
    bench.ram.write(Self.code, code)
    bench.ram.store(0x5_0000, UInt32(0x7fff_ffff))
    return bench.hart
  }

  /// The second instruction faults after it has taken the temporary that the first one's flags
  /// follow from.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func faultBehindAnAddition(engine: BackEnd) throws {
    // add [rbx], edi; add [rcx], dl
    let hart = try hart(engine, [0x01, 0x3b, 0x00, 0x11, 0xeb, 0xfe])
    hart.x[Registers.slot(1)] = Self.hole
    hart.ram.write(Self.handler, [0xeb, 0xfe])
    // Further than the block's three, of which a shorter run would have a part interpreted.
    #expect(hart.run(until: 8) == .budget)
    #expect(hart.pc == Self.handler)
    let frame = hart.x[Registers.slot(4)]
    #expect(hart.ram.load(frame + 8, as: UInt64.self) == Self.code + 2)
    let flags = try #require(hart.ram.load(frame + 32 - 8, as: UInt64.self))
    #expect(flags & Self.status == Self.overflow)
  }

  /// LOOPE tests a flag into the temporary that all of them follow from.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func loopBehindAnAddition(engine: BackEnd) throws {
    // add [rbx], edi; loope .+2
    let hart = try hart(engine, [0x01, 0x3b, 0xe1, 0x00, 0xeb, 0xfe])
    hart.x[Registers.slot(1)] = 5
    #expect(hart.run(until: 2) == .budget)
    #expect(hart.x[Registers.slot(1)] == 4)
    #expect(RFlags.read(hart.x) & Self.status == Self.overflow)
  }

  /// Instructions on EDI, ESI and the word at RBX that set all flags.
  private static let setters: [[UInt8]] = [
    [0x01, 0xf7], [0x48, 0x01, 0xf7], [0x66, 0x01, 0xf7], [0x40, 0x00, 0xf7], [0x83, 0xc7, 0x7f],
    [0x01, 0xff], [0x29, 0xf7], [0x48, 0x29, 0xf7], [0x40, 0x28, 0xf7], [0x83, 0xef, 0x7f],
    [0x21, 0xf7], [0x09, 0xf7], [0x31, 0xf7], [0x40, 0x30, 0xf7], [0x83, 0xe7, 0x55],
    [0x39, 0xf7], [0x40, 0x38, 0xf7], [0x83, 0xff, 0x55], [0x85, 0xf7], [0xf7, 0xdf],
    [0xc1, 0xe7, 0x05], [0x48, 0xc1, 0xef, 0x05], [0xc1, 0xff, 0x03], [0xc0, 0xe3, 0x05],
    [0x0f, 0xaf, 0xfe], [0x48, 0x0f, 0xaf, 0xfe], [0x0f, 0xaf, 0xff], [0x0f, 0xaf, 0x3b],
    [0x03, 0x3b], [0x33, 0x3b], [0x3b, 0x3b], [0x01, 0x3b], [0xff, 0xc7],
  ]
  /// What changes an operand before the fault: nothing, MOV EDI, MOV ESI, LEA EDI.
  private static let between: [[UInt8]] = [
    [], [0xbf, 5, 0, 0, 0], [0xbe, 5, 0, 0, 0], [0x8d, 0x7f, 0x01],
  ]

  /// Flags that others take the place of behind the fault, so that nobody but the handler sees them.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func faultBetweenTwoThatSetAll(engine: BackEnd) throws {
    let values: [(UInt64, UInt64)] = [
      (0x7fff_ffff, 1), (0x8000_0000_0000_0000, 0x8000_0000_0000_0001), (0x1234_5681, 0x7f),
    ]
    for setter in Self.setters {
      for middle in Self.between {
        for (first, second) in values {
          func make(_ code: [UInt8]) throws -> Hart {
            let hart = try self.hart(engine, code)
            hart.x[Registers.slot(7)] = first
            hart.x[Registers.slot(6)] = second
            hart.x[Registers.slot(1)] = Self.hole
            hart.ram.write(Self.handler, [0xeb, 0xfe])
            return hart
          }
          let alone = try make(setter + [0xeb, 0xfe])
          #expect(alone.run(until: 1) == .budget)
          // mov rax, [rcx]; cmp esi, edi; jmp .
          let hart = try make(setter + middle + [0x48, 0x8b, 0x01, 0x39, 0xfe, 0xeb, 0xfe])
          #expect(hart.run(until: 8) == .budget)
          let frame = hart.x[Registers.slot(4)]
          let at = Self.code + UInt64(setter.count + middle.count)
          #expect(hart.ram.load(frame + 8, as: UInt64.self) == at)
          let flags = try #require(hart.ram.load(frame + 24, as: UInt64.self))
          #expect(
            flags & Self.status == RFlags.read(alone.x) & Self.status,
            "\(setter) \(middle) \(first) \(second)")
        }
      }
    }
  }

  /// A computed jump whose target the jump cache usually has, and that then is not canonical: #GP of
  /// the jump, with everything as before it.
  @Test(arguments: [BackEnd.interpreter, .jit], [false, true])
  func jumpToNowhere(engine: BackEnd, fromMemory: Bool) throws {
    // add rbx, 8; jmp [rbx]; or mov rax, [rbx]; add rbx, 8; jmp rax
    let hart = try hart(
      engine,
      fromMemory
        ? [0x48, 0x83, 0xc3, 0x08, 0xff, 0x23]
        : [0x48, 0x8b, 0x03, 0x48, 0x83, 0xc3, 0x08, 0xff, 0xe0])
    for entry in UInt64(0)..<64 { hart.ram.store(0x5_0000 + entry * 8, Self.code) }
    hart.ram.store(0x5_0000 + 64 * 8, UInt64(0x8000_0000_0000))
    hart.ram.write(Self.handler, [0xeb, 0xfe])
    #expect(hart.run(until: 400) == .budget)
    #expect(hart.pc == Self.handler)
    let frame = hart.x[Registers.slot(4)]
    #expect(hart.ram.load(frame, as: UInt64.self) == 0)
    #expect(hart.ram.load(frame + 8, as: UInt64.self) == Self.code + (fromMemory ? 4 : 7))
    #expect(hart.x[Registers.slot(3)] == 0x5_0000 + (fromMemory ? 64 : 65) * 8)
    let flags = try #require(hart.ram.load(frame + 32 - 8, as: UInt64.self))
    // 0x501f8 + 8, 0x50200 + 8: AF and PF; none.
    #expect(flags & Self.status == (fromMemory ? 0x14 : 0))
  }
}
