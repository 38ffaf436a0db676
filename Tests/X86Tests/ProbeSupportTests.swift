import Engine
import Testing

@testable import X86

/// Memory of a few words, for instructions that are done on a frame.
private final class Words: ProbedMemory {
  var bytes: [UInt64: UInt8] = [:]
  var isRefusing = false
  func loadMemory(_ va: UInt64, _ size: Int) -> UInt64? {
    if isRefusing { return nil }
    return (0..<UInt64(size)).reversed().reduce(0) { $0 << 8 | UInt64(bytes[va &+ $1] ?? 0) }
  }
  func storeMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool {
    if isRefusing { return false }
    for byte in 0..<UInt64(size) {
      bytes[va &+ byte] = UInt8(truncatingIfNeeded: value >> (8 * byte))
    }
    return true
  }
  func correctMemory(_ va: UInt64, _ size: Int, _ value: UInt64) -> Bool {
    storeMemory(va, size, value)
  }
}

/// A saved frame.
private final class Frame {
  let raw = UnsafeMutableRawPointer.allocate(byteCount: PtRegs.size, alignment: 8)
  init(_ values: [Int: UInt64] = [:]) {
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: PtRegs.size)
    self[PtRegs.flags] = 0x202
    self[PtRegs.rsp] = 0x7000
    for (offset, value) in values { self[offset] = value }
  }
  deinit { raw.deallocate() }
  subscript(_ offset: Int) -> UInt64 {
    get { raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    set { raw.storeBytes(of: newValue, toByteOffset: offset, as: UInt64.self) }
  }
  var words: [UInt64] { stride(from: 0, to: PtRegs.size, by: 8).map { self[$0] } }
}

@Suite("What probes know of x86-64") struct ProbeSupportTests {
  private let isa = X86ProbeISA()

  private func bytes(_ text: String) -> [UInt8] {
    text.split(separator: " ").compactMap { UInt8($0, radix: 16) }
  }

  /// `s` simulated, `o` out of line, `-` refused: first in the kernel, then in a program.
  private func verdicts(_ text: String) -> String {
    ProbedText.allCases.map {
      switch isa.classify(bytes(text), $0)?.verdict {
      case .simulate: "s"
      case .outOfLine: "o"
      case .refuse: "-"
      case nil: "?"
      }
    }.joined()
  }

  @Test(
    "which instructions may be probed, and how",
    arguments: [
      // What jumps, calls and returns.
      ("eb 05", "ss"), ("e9 05 00 00 00", "ss"), ("66 e9 05 00 00 00", "s-"), ("74 05", "ss"),
      ("0f 84 05 00 00 00", "ss"), ("66 74 05", "s-"), ("e8 05 00 00 00", "ss"), ("c3", "so"),
      ("f3 c3", "so"), ("c2 08 00", "so"), ("cb", "-o"), ("e2 05", "so"), ("e3 05", "so"),
      ("ff d0", "so"), ("ff e0", "so"), ("ff 10", "-o"), ("ff 25 00 00 00 00", "-o"),
      ("67 ff 10", "-o"), ("3e ff e0", "s-"), ("ff 18", "--"), ("ff 28", "-o"),
      // The stack and flags.
      ("50", "os"), ("41 57", "os"), ("48 50", "oo"), ("66 50", "oo"), ("58", "oo"), ("9c", "ss"),
      ("9d", "so"), ("fa", "s-"), ("fb", "s-"), ("fc", "oo"),
      // Nothing.
      ("90", "os"), ("f3 90", "os"), ("66 90", "os"), ("0f 1f 40 00", "os"), ("0f 1f 00", "oo"),
      ("2e 0f 1f 40 00", "o-"),
      // What traps, and what has traps wait.
      ("cc", "--"), ("cd 80", "--"), ("f1", "--"), ("0f 0b", "-o"), ("48 cf", "--"), ("f4", "--"),
      ("8e d0", "--"), ("8e d8", "oo"), ("0f 05", "--"), ("0f 01 c1", "-o"),
      // Prefixes; ports; opcodes behind VEX that a table takes for others.
      ("f0 48 0f b1 0a", "o-"), ("f0 01 0a", "o-"), ("26 01 0a", "o-"), ("64 8b 00", "oo"),
      ("f3 a4", "oo"), ("6c", "o-"), ("e4 60", "o-"), ("ec", "o-"), ("66 0f ef c0", "oo"),
      ("c5 f9 ef c0", "o-"), ("c5 f9 6f 00", "o-"), ("c5 f8 58 c0", "oo"),
      // Not an instruction; not whole.
      ("06", "--"), ("0f 3f", "--"), ("48 8b", "??"),
    ])
  func verdict(text: String, expected: String) { #expect(verdicts(text) == expected, "\(text)") }

  @Test(
    "an address relative to RIP becomes one relative to a register that the instruction leaves",
    arguments: [
      // rsi; where that is named rdi; where both are rbx.
      ("48 8b 05 10 00 00 00", "48 8b 86 10 00 00 00"),
      ("48 8b 35 10 00 00 00", "48 8b b7 10 00 00 00"),
      ("4c 8b 35 10 00 00 00", "4c 8b b7 10 00 00 00"),
      ("c5 c9 58 05 10 00 00 00", "c5 c9 58 87 10 00 00 00"),
      ("c5 c9 58 3d 10 00 00 00", "c5 c9 58 bb 10 00 00 00"),
      ("c5 c1 58 35 10 00 00 00", "c5 c1 58 b3 10 00 00 00"),
      // The bit that would make it another register goes.
      ("49 8b 05 10 00 00 00", "48 8b 86 10 00 00 00"),
      ("c4 c1 79 58 05 10 00 00 00", "c4 e1 79 58 86 10 00 00 00"),
      // An immediate behind it stays.
      ("c7 05 10 00 00 00 01 02 03 04", "c7 86 10 00 00 00 01 02 03 04"),
      // What is relative to nothing stays as it is; the call that is left when its push faults goes
      // nowhere.
      ("48 8b 46 10", "48 8b 46 10"), ("e8 05 06 07 08", "e8 00 00 00 00"),
    ])
  func userImage(text: String, expected: String) throws {
    let insn = try #require(isa.classify(bytes(text), .user))
    #expect(isa.slotImage(insn) == bytes(expected))
  }

  @Test("in the kernel the displacement moves with the copy, as far as 32 bits go")
  func kernelImage() throws {
    let insn = try #require(isa.classify(bytes("48 8b 05 10 00 00 00"), .kernel))
    let va: UInt64 = 0xffff_ffff_8100_0000
    #expect(isa.slotImage(insn, at: va, slot: va + 0x100) == bytes("48 8b 05 10 ff ff ff cc"))
    #expect(isa.slotImage(insn, at: va, slot: va &+ 0x9000_0000) == nil)
    let stepped = X86ProbeISA(kernelStep: .singleStep)
    #expect(stepped.slotImage(insn, at: va, slot: va + 0x100) == bytes("48 8b 05 10 ff ff ff"))
  }

  // MARK: Slots

  private func copy(_ text: String, _ owner: ProbedText) throws -> SlotCopy {
    SlotCopy(try #require(isa.classify(bytes(text), owner)), at: 0x1000, slot: 0x5000, owner)
  }

  @Test("a program's slot: TF is set and goes again, the register is lent and comes back")
  func userSlot() throws {
    let copy = try copy("48 8b 05 10 00 00 00", .user)
    let frame = Frame([PtRegs.rsi: 77, PtRegs.rip: 0x1000])
    let before = frame.words
    let state = isa.enterSlot(frame.raw, copy)
    #expect(frame[PtRegs.rip] == 0x5000 && frame[PtRegs.rsi] == 0x1007)
    #expect(frame[PtRegs.flags] == 0x302)
    isa.abandonSlot(frame.raw, copy, state)
    frame[PtRegs.rip] = 0x1000
    #expect(frame.words == before)
    let again = isa.enterSlot(frame.raw, copy)
    frame[PtRegs.rip] = 0x5007
    #expect(isa.leaveSlot(frame.raw, copy, again, Words()) == .done)
    frame[PtRegs.rip] &-= 7
    #expect(frame.words == before)
  }

  @Test("who single-steps hears of it, and TF stays")
  func stepped() throws {
    let copy = try copy("48 ff c0", .user)
    let frame = Frame([PtRegs.flags: 0x302])
    let state = isa.enterSlot(frame.raw, copy)
    frame[PtRegs.rip] = 0x5003
    #expect(isa.leaveSlot(frame.raw, copy, state, Words()) == .stepped)
    #expect(frame[PtRegs.rip] == 0x1003 && frame[PtRegs.flags] == 0x302)
  }

  @Test("POPF keeps the TF that it loaded; RET and JMP keep their target")
  func elsewhere() throws {
    for loaded in [UInt64(0x202), 0x302] {
      let copy = try copy("9d", .user)
      let frame = Frame()
      let state = isa.enterSlot(frame.raw, copy)
      (frame[PtRegs.rip], frame[PtRegs.flags]) = (0x5001, loaded)
      #expect(isa.leaveSlot(frame.raw, copy, state, Words()) == .done)
      #expect(frame[PtRegs.rip] == 0x1001 && frame[PtRegs.flags] == loaded)
    }
    for text in ["c3", "ff e0"] {
      let copy = try copy(text, .user)
      let frame = Frame()
      let state = isa.enterSlot(frame.raw, copy)
      frame[PtRegs.rip] = 0x9999
      #expect(isa.leaveSlot(frame.raw, copy, state, Words()) == .done)
      #expect(frame[PtRegs.rip] == 0x9999 && frame[PtRegs.flags] == 0x202)
    }
  }

  @Test("an indirect call pushed the slot's address; where that can't be mended it begins anew")
  func call() throws {
    let copy = try copy("ff d0", .user)
    let memory = Words()
    let frame = Frame()
    let state = isa.enterSlot(frame.raw, copy)
    (frame[PtRegs.rip], frame[PtRegs.rsp]) = (0x9999, 0x6ff8)
    #expect(isa.leaveSlot(frame.raw, copy, state, memory) == .done)
    #expect(frame[PtRegs.rip] == 0x9999 && memory.loadMemory(0x6ff8, 8) == 0x1002)
    let again = isa.enterSlot(frame.raw, copy)
    (frame[PtRegs.rip], frame[PtRegs.rsp]) = (0x9999, 0x6ff8)
    memory.isRefusing = true
    #expect(isa.leaveSlot(frame.raw, copy, again, memory) == .done)
    #expect(frame[PtRegs.rip] == 0x1000 && frame[PtRegs.rsp] == 0x7000)
  }

  @Test("a repeated string instruction goes on in its slot, unless somebody counts its steps")
  func repeated() throws {
    let copy = try copy("f3 a4", .user)
    for (flags, exit) in [(UInt64(0x202), SlotExit.unfinished), (0x302, .stepped)] {
      let frame = Frame([PtRegs.flags: flags])
      let state = isa.enterSlot(frame.raw, copy)
      #expect(isa.leaveSlot(frame.raw, copy, state, Words()) == exit)
      #expect(frame[PtRegs.rip] == (exit == .unfinished ? 0x5000 : 0x1000))
    }
  }

  @Test("the kernel's slot: interrupts are off meanwhile", arguments: [UInt64(0x202), 0x2])
  func kernelSlot(flags: UInt64) throws {
    for step in X86ProbeISA.KernelStep.allCases {
      let isa = X86ProbeISA(kernelStep: step)
      let copy = try copy("48 ff c0", .kernel)
      let frame = Frame([PtRegs.flags: flags])
      let state = isa.enterSlot(frame.raw, copy)
      #expect(frame[PtRegs.flags] == (step == .singleStep ? 0x102 : 0x2))
      frame[PtRegs.rip] = step == .singleStep ? 0x5003 : 0x5004
      #expect(isa.leaveSlot(frame.raw, copy, state, Words()) == .done)
      #expect(frame[PtRegs.rip] == 0x1003 && frame[PtRegs.flags] == flags)
      #expect(isa.stepCause(.kernel) == (step == .singleStep ? 1 : nil))
    }
  }

  // MARK: Simulations

  private func simulate(
    _ text: String, _ owner: ProbedText, _ frame: Frame, _ memory: Words = Words()
  ) throws -> Bool {
    let simulation = try #require(isa.simulation(of: bytes(text), at: 0x1000, owner))
    return simulation.run(frame.raw, memory)
  }

  @Test("each condition of a jump, with each pattern of flags", arguments: UInt8(0)..<16)
  func conditions(condition: UInt8) throws {
    let all: [UInt64] = [0x1, 0x4, 0x40, 0x80, 0x800]
    for pattern in 0..<32 {
      let flags = all.enumerated().reduce(UInt64(0x202)) {
        pattern >> $1.offset & 1 == 1 ? $0 | $1.element : $0
      }
      let frame = Frame([PtRegs.flags: flags])
      let text = String(0x70 | condition, radix: 16) + " 10"
      #expect(try simulate(text, .user, frame))
      let isTaken = StatusFlags.holds(flags, condition)
      #expect(frame[PtRegs.rip] == (isTaken ? 0x1012 : 0x1002))
      #expect(frame[PtRegs.flags] == flags)
    }
  }

  @Test("LOOP counts down first; JRCXZ looks only")
  func loops() throws {
    for (text, count, pc, after) in [
      ("e2 10", UInt64(2), UInt64(0x1012), UInt64(1)), ("e2 10", 1, 0x1002, 0),
      ("e3 10", 0, 0x1012, 0), ("e3 10", 1, 0x1002, 1), ("67 e2 10", 1 << 32, 0x1013, 0xffff_ffff),
    ] {
      let frame = Frame([PtRegs.rcx: count])
      #expect(try simulate(text, .kernel, frame))
      #expect(frame[PtRegs.rip] == pc && frame[PtRegs.rcx] == after, "\(text)")
    }
  }

  @Test("the stack: pushes, calls, returns, flags")
  func stack() throws {
    let memory = Words()
    var frame = Frame([PtRegs.rsp: 0x7000])
    #expect(try simulate("54", .user, frame, memory))
    #expect(frame[PtRegs.rsp] == 0x6ff8 && memory.loadMemory(0x6ff8, 8) == 0x7000)
    frame = Frame([PtRegs.r15: 99])
    #expect(try simulate("41 57", .user, frame, memory))
    #expect(memory.loadMemory(0x6ff8, 8) == 99 && frame[PtRegs.rip] == 0x1002)
    frame = Frame()
    #expect(try simulate("e8 fb ff ff ff", .user, frame, memory))
    #expect(frame[PtRegs.rip] == 0x1000 && memory.loadMemory(0x6ff8, 8) == 0x1005)
    frame = Frame([PtRegs.rax: 0x4444])
    #expect(try simulate("ff d0", .kernel, frame, memory))
    #expect(frame[PtRegs.rip] == 0x4444 && memory.loadMemory(0x6ff8, 8) == 0x1002)
    frame = Frame([PtRegs.rsp: 0x6ff8])
    #expect(try simulate("c2 10 00", .kernel, frame, memory))
    #expect(frame[PtRegs.rip] == 0x1002 && frame[PtRegs.rsp] == 0x7010)
    frame = Frame([PtRegs.flags: 0x1_0ad7])
    #expect(try simulate("9c", .user, frame, memory))
    #expect(memory.loadMemory(0x6ff8, 8) == 0xad7)
    frame = Frame([PtRegs.rsp: 0x6ff8])
    #expect(try simulate("9d", .kernel, frame, memory))
    #expect(frame[PtRegs.flags] == 0xad7 && frame[PtRegs.rsp] == 0x7000)
    frame = Frame([PtRegs.rsp: 0x6ff8, PtRegs.flags: 0x4_0202])
    #expect(try simulate("66 9d", .kernel, frame, memory))
    #expect(frame[PtRegs.flags] == 0x4_0ad7 && frame[PtRegs.rsp] == 0x6ffa)
    #expect(try simulate("fa", .kernel, frame, memory))
    #expect(frame[PtRegs.flags] & 0x200 == 0)
    #expect(try simulate("fb", .kernel, frame, memory))
    #expect(frame[PtRegs.flags] & 0x200 != 0)
  }

  @Test("where memory refuses, or the target is not canonical, nothing is changed")
  func faults() throws {
    let memory = Words()
    memory.isRefusing = true
    for (text, owner) in [
      ("54", ProbedText.user), ("e8 00 00 00 00", .user), ("9c", .user), ("c3", .kernel),
      ("9d", .kernel), ("ff d0", .kernel),
    ] {
      let frame = Frame([PtRegs.rip: 0x1000])
      let before = frame.words
      #expect(try !simulate(text, owner, frame, memory))
      #expect(frame.words == before, "\(text)")
    }
    for text in ["ff d0", "ff e0"] {
      let frame = Frame([PtRegs.rip: 0x1000, PtRegs.rax: 1 << 47])
      let before = frame.words
      #expect(try !simulate(text, .kernel, frame))
      #expect(frame.words == before, "\(text)")
    }
  }

  @Test("frames are alive as Linux's table says")
  func frames() {
    for (now, then, when, isAlive) in [
      (UInt64(8), UInt64(8), FrameCheck.call, false), (7, 8, .call, true), (8, 8, .chainCall, true),
      (9, 8, .chainCall, false), (8, 8, .ret, true), (9, 8, .ret, false),
    ] {
      #expect(isa.isFrameAlive(then: then, now: now, when) == isAlive)
    }
  }

  @Test("registers have Linux's names and the manual's")
  func registers() {
    #expect(isa.registerNames.count * 8 == PtRegs.size)
    #expect(isa.registerNames.map { isa.registerOffset($0) } == (0..<21).map { $0 * 8 })
    #expect(isa.registerOffset("rdi") == isa.registerOffset("di"))
    #expect(isa.registerOffset("a0") == nil && isa.registerOffset(16) == nil)
    #expect(
      (0..<7).map(isa.argumentOffset).map { $0 == nil } == Array(repeating: false, count: 6) + [
        true
      ])
  }
}
