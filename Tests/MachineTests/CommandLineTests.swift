import Foundation
import GuestKernel
import Machine
import RISCV
import Testing

/// The `emu` program by its exit status and by what it prints.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct CommandLineTests {
  static func program(_ name: String) -> String { Images.path("user/riscv64/\(name).elf") }
  static func image(_ name: String) -> String { Images.path("bare/riscv64/\(name).elf") }

  /// `emu run` of instructions.
  static func run(
    _ insns: [Insn], options: [String] = [], input: Child.Input = .nothing
  ) throws -> Child.Result {
    let scratch = try Scratch()
    let file = try scratch.file("program", TinyELF(insns).bytes)
    return try Child(["run"] + options + [file], input: input).finish()
  }

  // MARK: Help and usage

  @Test(arguments: [[], ["run"], ["disasm"], ["syscalls"]])
  func helpHasExamples(_ subcommand: [String]) throws {
    let result = try Child(subcommand + ["--help"]).finish()
    #expect(result.status == 0)
    #expect(result.errors == "")
    let examples = try #require(result.output.range(of: "EXAMPLES"))
    let call = (["emu"] + subcommand).joined(separator: " ")
    #expect(result.output[examples.upperBound...].contains("\n  \(call)"))
  }

  @Test func theFirstHelpSaysWhatStatusesMean() throws {
    let output = try Child.run("--help").output
    for status in ["124", "125", "126", "127", "128+n", "130", "64"] {
      #expect(output.contains(status))
    }
  }

  @Test(arguments: [
    ["run"], ["run", "--nope", "x"], ["nope"], ["run", "--env", "X", "x"],
    ["run", "--env", "=X", "x"], ["run", "--memory", "1K", "x"], ["run", "--memory", "x", "x"],
    ["run", "--max-insns", "-1", "x"], ["run", "--max-insns", "99999999999999999999", "x"],
    ["run", "--harts", "2", "x"], ["run", "--bare", "--harts", "65", "x"],
    ["run", "--bare", "x", "y"], ["run", "--bare", "--root", "/", "x"],
    ["run", "--engine", "nope", "x"], ["run", "--caches", "nope", "x"],
    ["syscalls", "--status", "nope"], ["disasm", "--symbol", "x", "--start", "1", "x"], ["disasm"],
  ])
  func wrongUsage(_ arguments: [String]) throws {
    let result = try Child(arguments).finish()
    #expect(result.status == 64)
    #expect(result.output == "")
    #expect(result.errors.contains("Usage: emu"))
  }

  @Test func version() throws {
    let result = try Child.run("--version")
    #expect(result.status == 0)
    #expect(result.output.hasPrefix("emu "))
  }

  // MARK: Running programs

  @Test func argumentsAndEnvironmentAndStatusPassThrough() throws {
    let program = Self.program("hello")
    let result = try Child.run(
      "run", "--env", "EMU_A=1", "--env", "EMU_B=2=3", "--env", "EMU_A=4", program, "--stats", "",
      "x y", environment: ["EMU_HOST=1"])
    #expect(result.status == 0)
    #expect(result.errors == "")
    #expect(result.output.contains("argc 4\nargv[1] '--stats'\nargv[2] ''\nargv[3] 'x y'\n"))
    #expect(result.output.contains("env 'EMU_A=4'\nenv 'EMU_B=2=3'\nzero"))
  }

  @Test(arguments: [0, 1, 123, 255]) func status(_ status: Int64) throws {
    let result = try Self.run(Insn.call(94, status))
    #expect(result.status == Int32(status))
    #expect(result.errors == "")
  }

  @Test func standardInputPassesThrough() throws {
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 % 95 + 32) }
    let result = try Child.run("run", Self.program("cat"), input: .bytes(bytes))
    #expect(result.status == 0)
    #expect(result.output == String(decoding: bytes, as: UTF8.self))
  }

  @Test func standardErrorIsTheProgramsToo() throws {
    // write(2, pc, 2): the first bytes of `auipc a1, 0`.
    let result = try Self.run(
      [Insn(op: .auipc, rd: 11), .li("a0", 2), .li("a2", 2), .li("a7", 64), Insn(op: .ecall)]
        + Insn.call(94, 3))
    #expect(result.status == 3)
    #expect(result.output == "")
    #expect(result.errors == String(decoding: [0x97, 0x05], as: UTF8.self))
  }

  @Test(
    arguments: [
      ("segv", 139, "SIGSEGV"), ("ill", 132, "SIGILL"), ("abort", 134, "SIGABRT"),
      ("bus", 135, "SIGBUS"), ("trap", 133, "SIGTRAP"), ("kill", 137, "SIGKILL"),
      ("term", 143, "SIGTERM"),
    ] as [(String, Int32, String)])
  func signals(_ how: String, _ status: Int32, _ name: String) throws {
    let result = try Child.run("run", Self.program("crash"), how)
    #expect(result.status == status)
    #expect(!result.wasKilled)
    #expect(result.output == "crash \(how)\n")
    try expectOneLine(result, name, " at pc 0x")
    // Where a program dies by its own instruction, the line says in which function.
    if ["segv", "ill", "trap", "bus"].contains(how) {
      #expect(result.errors.contains("(inner+0x"))
    }
    if how == "segv" { #expect(result.errors.contains("address 0x1234")) }
  }

  private func expectOneLine(
    _ result: Child.Result, _ texts: String..., at location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(result.errorLines.count == 2, sourceLocation: location)
    #expect(
      result.errors.hasPrefix("emu: ") && result.errors.hasSuffix("\n"),
      sourceLocation: location)
    for text in texts { #expect(result.errors.contains(text), sourceLocation: location) }
  }

  @Test func statistics() throws {
    let result = try Child.run("run", "--stats", Self.program("hello"))
    #expect(result.status == 0)
    for row in [
      "instructions retired", "time", "speed", "page faults", "TLB misses", "system calls",
      "context switches", "guest pages in use", "before the first instruction",
    ] {
      let line = result.errorLines.first { $0.contains(row) }
      #expect(line?.contains { $0.isNumber } == true, "\(row)")
    }
    #expect(result.errors.contains(" MIPS"))
    #expect(!result.errors.contains("ENOSYS"))
  }

  @Test func bareStatistics() throws {
    let result = try Child.run("run", "--bare", "--stats", Self.image("traps"))
    #expect(result.status == 0)
    for row in ["instructions retired", "exceptions taken", "TLB misses", "speed"] {
      #expect(result.errors.contains(row))
    }
  }

  // MARK: Random bytes

  @Test func seeds() throws {
    // getrandom(sp - 64, 32, 0), write(1, sp - 64, 32)
    let buffer = Insn(op: .addi, rd: 8, rs1: 2, imm: -64)
    let insns: [Insn] =
      [buffer, Insn(op: .addi, rd: 10, rs1: 8), .li("a1", 32), .li("a2", 0), .li("a7", 278)]
      + [Insn(op: .ecall), .li("a0", 1), Insn(op: .addi, rd: 11, rs1: 8), .li("a2", 32)]
      + [.li("a7", 64), Insn(op: .ecall)] + Insn.call(94, 0)
    let outputs = try [["--seed", "1"], ["--seed", "1"], ["--seed", "2"], [], ["--seed", "0"]].map {
      try Self.run(insns, options: $0).output
    }
    #expect(outputs[0] != "")
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0] != outputs[2])
    #expect(outputs[3] == outputs[4])
  }

  // MARK: Bare images

  @Test func bareOutputAndStatus() throws {
    let good = try Child.run("run", "--bare", Self.image("tohost"))
    #expect(good.status == 0)
    #expect(good.output == "tohost: characters\ntohost: a write of many bytes\n")
    #expect(good.errors == "")
    let bad = try Child.run("run", "--bare", Self.image("tohost-fail"))
    #expect(bad.status == 5)
    try expectOneLine(bad, "test 5 failed")
  }

  @Test func bareInput() throws {
    let input = try Images.bytes("bare/input/uartirq.txt")
    let result = try Child.run("run", "--bare", Self.image("uartirq"), input: .bytes(input))
    #expect(result.status == 0)
    let expected = String(decoding: try Images.bytes("bare/expected/uartirq.txt"), as: UTF8.self)
    #expect(result.output == expected)
  }

  @Test func bareEndOfInput() throws {
    let result = try Child.run("run", "--bare", Self.image("uartirq"))
    #expect(result.status == 125)
    try expectOneLine(result, "nothing can wake one")
  }

  @Test func bareHarts() throws {
    let result = try Child.run("run", "--bare", "--harts", "2", Self.image("smp"))
    #expect(result.status == 0)
    let expected = String(decoding: try Images.bytes("bare/expected/smp.txt"), as: UTF8.self)
    #expect(result.output == expected)
  }

  @Test func signatureFile() throws {
    let scratch = try Scratch()
    let file = "\(scratch.path)/signature"
    let result = try Child.run("run", "--bare", "--signature", file, Self.image("signature"))
    #expect(result.status == 0)
    #expect(result.errors == "")
    let expected = String(decoding: try Images.bytes("bare/expected/signature.txt"), as: UTF8.self)
    #expect(scratch.text("signature") == expected)
    let without = try Child.run("run", "--bare", "--signature", file, Self.image("tohost"))
    #expect(without.status == 125)
    try expectOneLine(without, "begin_signature")
  }

  // MARK: Other subcommands

  @Test func disassemblyOfAFunction() throws {
    let result = try Child.run("disasm", Self.program("hello"), "--symbol", "main", "--count", "5")
    #expect(result.status == 0)
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == 6)
    #expect(lines.first == "main:")
    #expect(lines.dropFirst().first?.contains("addi sp,sp,-") == true)
  }

  @Test func disassemblyFromAnAddress() throws {
    let scratch = try Scratch()
    let file = try scratch.file("x", TinyELF(Insn.call(93, 7) + [.forever]).bytes)
    let result = try Child.run("disasm", file, "--start", "0x10004")
    #expect(result.status == 0)
    let texts = result.output.split(separator: "\n").map { $0.split(separator: " ").dropFirst(2) }
    #expect(texts.first.map { Array($0) } == ["li", "a7,93"])
    #expect(texts.count == 3)
    let nowhere = try Child.run("disasm", file, "--start", "0x20000")
    #expect(nowhere.status == 1)
    try expectOneLine(nowhere, "no executable code")
    let nobody = try Child.run("disasm", file, "--symbol", "nobody")
    #expect(nobody.status == 1)
    try expectOneLine(nobody, "no symbol 'nobody'")
  }

  #if arch(x86_64) && os(Linux)
  /// The host's own shell and libraries, which nobody here has built.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/bin/bash")))
  func dynamicProgramsOfTheHost() throws {
    let script = "for i in 3 1 2; do echo $((i * i)); done | sort; (exit 7)"
    let result = try Child.run("run", "--root", "/", "/bin/bash", "-c", script)
    #expect(result.output == "1\n4\n9\n")
    #expect(result.status == 7)
  }
  #endif

  @Test func aRowForEverySystemCall() throws {
    let result = try Child.run("syscalls")
    #expect(result.status == 0)
    let lines = result.output.split(separator: "\n")
    let isa = RISCVKernelISA()
    let names = (0..<2000).compactMap { isa.syscallName($0) }
    #expect(names.count > 250)
    #expect(
      lines.dropLast().map { $0.split(separator: " ").dropFirst().first.map(String.init) }
        == names)
    // The last line has the sums, and they are those of the filtered lists.
    let sums = (lines.last ?? "").split(separator: ",").compactMap { $0.split(separator: " ").last }
    #expect(sums.compactMap { Int($0) }.reduce(0, +) == names.count)
    for (status, sum) in zip(["supported", "partial", "unsupported"], sums) {
      let rows = try Child.run("syscalls", "--status", status).output.split(separator: "\n")
      #expect(rows.dropLast().allSatisfy { $0.contains(" \(status)") })
      #expect(Int(sum) == rows.count - 1)
    }
  }
}
