import Engine
import Machine
import RISCV
import Testing

/// Images from `images/bare`, each to its end on the board.
@Suite struct BareImages {
  static let cases =
    Images.cases("bare", fixed: 1).filter { $0.name != "kbench" && $0.name != "smp" }
    + Images.cases("bare", fixed: 1, on: .x86_64)

  /// What a case is run with.
  static func options(_ bare: ImageCase, _ caches: CacheModel) -> BareRig.Options {
    var options = BareRig.Options()
    options.caches = caches
    options.supervisor = bare.entersSupervisor
    if let at = bare.arguments.firstIndex(of: "-smp"), at + 1 < bare.arguments.count {
      options.harts = Int(bare.arguments[at + 1]) ?? 1
    }
    return options
  }

  @Test func theTableIsThere() { #expect(Self.cases.count > 6) }

  /// UART output and status are what the table says.
  ///
  /// A second run, and one that is stopped every 997 instructions, end in the same state to the last
  /// register and byte.
  @Test(arguments: cases, CacheModel.allCases)
  func image(_ bare: ImageCase, _ caches: CacheModel) throws {
    let options = Self.options(bare, caches)
    let first = try BareRig(bare.imageBytes(), options, input: bare.inputBytes())
    let exit = first.run()
    switch exit {
    case .finished(let status): #expect(status == bare.status)
    case .testFailed(let test): #expect(Int32(test) == bare.status)
    default: Issue.record("\(exit)")
    }
    #expect(bare.comparable(first.console.output) == (try bare.expected()))

    for slice in [BareRig.limit, 997] {
      let again = try BareRig(bare.imageBytes(), options, input: bare.inputBytes())
      #expect(again.run(slice: slice) == exit)
      #expect(again.differences(from: first) == [], "slices of \(slice)")
    }
  }

  /// A failed test is not mistaken for an exit status.
  @Test func aFailedTestSaysWhich() throws {
    let bytes = try Images.bytes("bare/riscv64/tohost-fail.elf")
    #expect(try BareRig(bytes).run() == .testFailed(5))
  }

  /// What the guest prints as its signature is what lies between the symbols.
  @Test func signatureIsInMemory() throws {
    let rig = try BareRig(try Images.bytes("bare/riscv64/signature.elf"))
    #expect(rig.run() == .finished(status: 0))
    let begin = try #require(rig.image.physical(of: "begin_signature"))
    let end = try #require(rig.image.physical(of: "end_signature"))
    let lines = try stride(from: begin, to: end, by: 4).map { address in
      let word = String(try #require(rig.machine.ram.load(address, as: UInt32.self)), radix: 16)
      return String(repeating: "0", count: 8 - word.count) + word + "\n"
    }
    let expected = String(
      decoding: try Images.bytes("bare/expected/signature.txt"), as: UTF8.self)
    #expect(lines.joined() == expected)
  }

  /// Each byte comes when the hart sleeps: its interrupt must wake it.
  @Test(arguments: CacheModel.allCases)
  func inputWakesASleeper(_ caches: CacheModel) throws {
    let bare = try #require(Self.cases.first { $0.name == "uartirq" })
    var options = Self.options(bare, caches)
    options.patient = true
    let rig = try BareRig(bare.imageBytes(), options, input: bare.inputBytes())
    #expect(rig.run() == .finished(status: 0))
    #expect(bare.comparable(rig.console.output) == (try bare.expected()))
  }

  /// The input ends before the guest has what it waits for.
  @Test func nothingCanWakeIt() throws {
    let bytes = try Images.bytes("bare/riscv64/uartirq.elf")
    #expect(try BareRig(bytes, input: Array("no end".utf8)).run() == .stuck)
  }

  /// The benchmark's eleven kernels at 2 % print what the same kernels print as a Linux program.
  @Test(arguments: CacheModel.allCases)
  func kernels(_ caches: CacheModel) throws {
    var bytes = try Images.bytes("bare/riscv64/kbench.elf")
    // The image's own place for this: `bench_cfg` in Benchmarks/guest/bare.c.
    let mark = Array("KBENCHCF".utf8)
    let marks = bytes.indices.dropLast(16).filter { Array(bytes[$0..<($0 + 8)]) == mark }
    let at = try #require(marks.count == 1 ? marks.first : nil)
    bytes.replaceSubrange((at + 12)..<(at + 16), with: [2, 0, 0, 0])
    var options = BareRig.Options()
    options.caches = caches
    let rig = try BareRig(bytes, options)
    #expect(rig.run() == .finished(status: 0))

    let words = { (text: Substring) in text.split(separator: " ").prefix(5).map(String.init) }
    let printed = String(decoding: rig.console.output, as: UTF8.self).split(separator: "\n")
    let expected = String(decoding: try Images.bytes("user/expected/kbench.txt"), as: UTF8.self)
    #expect(printed.last == "done")
    #expect(printed.dropLast().map(words) == expected.split(separator: "\n").map(words))
  }

  /// Two harts, however finely they alternate; and the same again when stopped in between.
  @Test(arguments: [1, 7, 1000] as [UInt64], CacheModel.allCases)
  func twoHarts(_ quantum: UInt64, _ caches: CacheModel) throws {
    var options = BareRig.Options()
    options.harts = 2
    options.quantum = quantum
    options.caches = caches
    let bytes = try Images.bytes("bare/riscv64/smp.elf")
    let expected = String(decoding: try Images.bytes("bare/expected/smp.txt"), as: UTF8.self)
    let first = try BareRig(bytes, options)
    #expect(first.run() == .finished(status: 0))
    #expect(String(decoding: first.console.output, as: UTF8.self) == expected)

    // Turns of one instruction are slow: there, not all of the run is repeated.
    let limit: UInt64 = quantum == 1 ? 50_000 : BareRig.limit
    let whole = try BareRig(bytes, options)
    let exit = whole.run(limit: limit)
    if quantum > 1 { #expect(whole.differences(from: first) == []) }
    let sliced = try BareRig(bytes, options)
    #expect(sliced.run(slice: 1007, limit: limit) == exit)
    #expect(sliced.differences(from: whole) == [])
  }
}

/// A PC of several processors.
@Suite struct Processors {
  /// However finely they alternate, and in whichever engine, to the last register and byte.
  @Test(arguments: [13, 1000] as [UInt64], CacheModel.allCases)
  func fourProcessors(_ quantum: UInt64, _ caches: CacheModel) throws {
    let bytes = try Images.bytes("bare/x86_64/processors.elf")
    let expected = String(
      decoding: try Images.bytes("bare/expected/processors.txt"), as: UTF8.self)
    let rigs = try [BackEnd.interpreter, .jit].map { engine in
      var options = BareRig.Options()
      options.harts = 4
      options.quantum = quantum
      options.caches = caches
      options.engine = engine
      let rig = try BareRig(bytes, options)
      #expect(rig.run() == .finished(status: 45))
      #expect(String(decoding: rig.console.output, as: UTF8.self) == expected)
      return rig
    }
    #expect(rigs[0].differences(from: rigs[1]) == [])
  }
}

/// A missing maintenance instruction is seen in the architectural model, and only there.
@Suite struct StaleCaches {
  static let entry: UInt64 = 0x8000_0000
  static let t0: UInt8 = 5, t1: UInt8 = 6, s2: UInt8 = 18, s3: UInt8 = 19, ra: UInt8 = 1
  static let a0: UInt8 = 10, a1: UInt8 = 11

  private func machine(_ caches: CacheModel) throws -> BareMachine {
    var configuration = BareConfiguration()
    configuration.cacheModel = caches
    configuration.memory = 16 << 20
    return try #require(
      BareMachine(configuration, console: TypedConsole(), startOfRun: 0))
  }

  @Test(arguments: CacheModel.allCases, [false, true])
  func code(_ caches: CacheModel, _ fenced: Bool) throws {
    let machine = try machine(caches)
    let function = Self.entry + 0x100
    let new = try #require(Encoder.encode(Insn(op: .addi, rd: Self.a0, imm: 2)))
    try machine.ram.put(
      function,
      [Insn(op: .addi, rd: Self.a0, imm: 1), Insn(op: .jalr, rs1: Self.ra)])
    machine.ram.store(Self.entry + 0x200, new)
    try machine.ram.put(
      Self.entry,
      [
        Insn(op: .auipc, rd: Self.t0, imm: 0),  // t0 = entry
        Insn(op: .lw, rd: Self.t1, rs1: Self.t0, imm: 0x200),
        Insn(op: .jalr, rd: Self.ra, rs1: Self.t0, imm: 0x100),
        Insn(op: .addi, rd: Self.s2, rs1: Self.a0),
        Insn(op: .sw, rs1: Self.t0, rs2: Self.t1, imm: 0x100),
        fenced ? Insn(op: .fence_i) : Insn(op: .addi),
        Insn(op: .jalr, rd: Self.ra, rs1: Self.t0, imm: 0x100),
        Insn(op: .addi, rd: Self.s3, rs1: Self.a0),
      ])
    machine.enterMachineMode(Self.entry)
    #expect(machine.run(limit: 12) == .limit)
    let hart = machine.harts[0]
    #expect(hart.pc == Self.entry + 32)
    #expect(hart.x[Int(Self.s2)] == 1)
    #expect(hart.x[Int(Self.s3)] == (caches == .architectural && !fenced ? 1 : 2))
  }

  @Test(arguments: CacheModel.allCases, [false, true])
  func translation(_ caches: CacheModel, _ fenced: Bool) throws {
    let machine = try machine(caches)
    let root = Self.entry + 0x10_0000
    let pages = [Self.entry + 0x20_0000, Self.entry + 0x20_1000]
    let leaf: UInt64 = 0xcf  // V, R, W, X, A and D
    let number = { (page: UInt64) in (page >> 12) << 10 }
    let pointer = { (table: UInt64) in number(table) | 1 }
    // The gigabyte of RAM lies where it is; the page at 1 GiB is the first of `pages`.
    machine.ram.store(root + 2 * 8, number(Self.entry) | leaf)
    machine.ram.store(root + 8, pointer(root + 4096))
    machine.ram.store(root + 4096, pointer(root + 8192))
    machine.ram.store(root + 8192, number(pages[0]) | leaf)
    machine.ram.store(pages[0], UInt64(111))
    machine.ram.store(pages[1], UInt64(222))
    let words = [8 << 60 | root >> 12, 0x4000_0000, root + 8192, number(pages[1]) | leaf]
    for (index, word) in words.enumerated() {
      machine.ram.store(Self.entry + 0x200 + UInt64(8 * index), word)
    }
    try machine.ram.put(
      Self.entry,
      [
        Insn(op: .auipc, rd: Self.t0, imm: 0),  // t0 = entry
        Insn(op: .ld, rd: Self.t1, rs1: Self.t0, imm: 0x200),
        Insn(op: .csrrw, rs1: Self.t1, imm: 0x180),  // satp
        Insn(op: .sfence_vma),
        Insn(op: .ld, rd: Self.a0, rs1: Self.t0, imm: 0x208),
        Insn(op: .ld, rd: Self.s2, rs1: Self.a0),
        Insn(op: .ld, rd: Self.a1, rs1: Self.t0, imm: 0x210),
        Insn(op: .ld, rd: Self.t1, rs1: Self.t0, imm: 0x218),
        Insn(op: .sd, rs1: Self.a1, rs2: Self.t1),
        fenced ? Insn(op: .sfence_vma, rs1: Self.a0) : Insn(op: .addi),
        Insn(op: .ld, rd: Self.s3, rs1: Self.a0),
      ])
    machine.enterSupervisorMode(Self.entry)
    #expect(machine.run(limit: 11) == .limit)
    let hart = machine.harts[0]
    #expect(hart.pc == Self.entry + 44)
    #expect(hart.x[Int(Self.s2)] == 111)
    #expect(hart.x[Int(Self.s3)] == (caches == .architectural && !fenced ? 111 : 222))
  }
}
