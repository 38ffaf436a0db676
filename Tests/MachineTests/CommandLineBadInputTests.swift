import Foundation
import RISCV
import Testing

extension CommandLineTests {
  /// Whatever is wrong, one line says it and the status is the documented one.
  @Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
  struct BadInput {
    enum Input: String, CaseIterable, Sendable {
      case notELF, empty, wrongMachine, class32, bigEndian, cutInHeader, cutInProgramHeaders
      case cutInSegment, overlapping, highAddress, wrapping, absurdSize, moreInFileThanInMemory
      case noSegments, missing, missingDirectory, directory, noPermission, entryNowhere
      case illegal, loops, missingInterpreter

      /// The options and the program.
      func arguments(_ scratch: Scratch) throws -> [String] {
        var tiny = try TinyELF(Insn.call(93, 0))
        let hello = try Images.bytes("user/riscv64/hello.elf")
        switch self {
        case .notELF: return [try scratch.file("x", "This is text.\n")]
        case .empty: return [try scratch.file("x", "")]
        case .wrongMachine: tiny.machine = 183
        case .class32:
          var bytes = tiny.bytes
          bytes[4] = 1
          return [try scratch.file("x", bytes)]
        case .bigEndian:
          var bytes = tiny.bytes
          bytes[5] = 2
          return [try scratch.file("x", bytes)]
        case .cutInHeader: return [try scratch.file("x", Array(hello.prefix(40)))]
        case .cutInProgramHeaders: return [try scratch.file("x", Array(hello.prefix(100)))]
        case .cutInSegment: return [try scratch.file("x", Array(hello.prefix(2000)))]
        case .overlapping:
          tiny.segments.append(TinyELF.Segment(address: tiny.entry, bytes: [1, 2, 3]))
        case .highAddress:
          tiny.segments.append(TinyELF.Segment(address: 0xffff_ffff_8000_0000, bytes: [1]))
        case .wrapping:
          tiny.segments.append(
            TinyELF.Segment(address: 0xffff_ffff_ffff_f000, bytes: [1], memorySize: 0x2000))
        case .absurdSize:
          tiny.segments.append(TinyELF.Segment(address: 0x20000, bytes: [1], memorySize: 1 << 50))
        case .moreInFileThanInMemory: tiny.segments[0].memorySize = 1
        case .noSegments: tiny.segments = []
        case .missing: return ["\(scratch.path)/missing"]
        case .missingDirectory: return ["\(scratch.path)/missing/x"]
        case .directory: return [scratch.path]
        case .noPermission:
          let file = try scratch.file("x", hello)
          chmod(file, 0)
          return [file]
        case .entryNowhere: tiny.entry = 0x50000
        case .illegal: tiny.segments[0].bytes = [0, 0, 0, 0]
        case .loops:
          tiny = try TinyELF([.forever])
          return ["--max-insns", "1M", try scratch.file("x", tiny.bytes)]
        case .missingInterpreter: return [try scratch.file("x", "#!/no/such/program\n")]
        }
        return [try scratch.file("x", tiny.bytes)]
      }

      var expected: (status: Int32, text: String) {
        switch self {
        case .notELF, .empty: (126, "not an ELF file")
        case .wrongMachine: (126, "AArch64")
        case .class32: (126, "32-bit")
        case .bigEndian: (126, "big-endian")
        case .cutInHeader: (126, "ends inside its ELF header")
        case .cutInProgramHeaders: (126, "ends inside its program headers")
        case .cutInSegment: (126, "ends inside its segment")
        case .overlapping: (126, "overlap")
        case .highAddress: (126, "segments reach behind address 0x4000000000")
        case .wrapping: (126, "segment 1")
        case .absurdSize: (126, "more than the 1099511627776 bytes")
        case .moreInFileThanInMemory: (126, "segment 0 has more bytes in the file")
        case .noSegments: (126, "nothing to load")
        case .missing, .missingDirectory: (127, "No such file or directory")
        case .directory: (126, "not a regular file")
        case .noPermission: (126, "Permission denied")
        case .entryNowhere: (126, "entry")
        case .illegal: (132, "SIGILL at pc 0x10000")
        case .loops: (124, "limit of 1000000 instructions")
        case .missingInterpreter: (127, "/no/such/program")
        }
      }
    }

    @Test(arguments: Input.allCases)
    func oneLineAndItsStatus(_ input: Input) throws {
      // Permission bits do not hold root back.
      if input == .noPermission, geteuid() == 0 { return }
      let scratch = try Scratch()
      let result = try Child(["run"] + input.arguments(scratch)).finish()
      #expect(result.status == input.expected.status)
      #expect(!result.wasKilled)
      #expect(result.output == "")
      #expect(result.errorLines.count == 2 && result.errorLines.last == "")
      #expect(result.errors.hasPrefix("emu: "))
      #expect(result.errors.contains(input.expected.text), "\(result.errors)")
    }

    @Test(arguments: [
      ["/dev/null"], ["--load-address", "0x1000"], ["--load-address", "0x80000001"],
    ])
    func bareImages(_ options: [String]) throws {
      let scratch = try Scratch()
      let file = try scratch.file("x", [0x13, 0, 0, 0])
      let words = options[0].hasPrefix("-") ? options + [file] : options
      let result = try Child(["run", "--bare", "--max-insns", "1M"] + words).finish()
      #expect(!result.wasKilled)
      #expect([124, 125, 126].contains(result.status))
      #expect(result.errorLines.count == 2)
      #expect(result.errors.hasPrefix("emu: "))
    }

    /// Linux answers `ENOSYS`, to numbers without a name too; the figures count the named calls.
    @Test(arguments: [1234, 105])
    func aSystemCallThatIsNotThere(_ number: Int64) throws {
      let insns =
        Insn.call(number) + [Insn(op: .sub, rd: 10, rs2: 10), .li("a7", 93), Insn(op: .ecall)]
      let result = try CommandLineTests.run(insns, options: ["--stats"])
      #expect(result.status == 38)
      let row = result.errorLines.first { $0.contains("ENOSYS") }
      if number == 105 { #expect(row?.hasSuffix(" init_module 1") == true, "\(result.errors)") }
    }

    /// The limit is exact and counts the guest kernel's instructions too.
    @Test func theLimitIsExact() throws {
      let program = CommandLineTests.program("hello")
      for limit in ["1", "12345"] {
        let result = try Child.run("run", "--max-insns", limit, program)
        #expect(result.status == 124)
        #expect(result.errors.contains("limit of \(limit) instructions, pc 0x"))
      }
    }

    @Test func aLimitThatIsNotReached() throws {
      let result = try Child.run("run", "--max-insns", "1G", CommandLineTests.program("hello"))
      #expect(result.status == 0)
      #expect(result.errors == "")
    }

    @Test func rootThatIsNotThere() throws {
      let result = try Child.run("run", "--root", "/no/such/directory", "x")
      #expect(result.status == 125)
      #expect(
        result.errors == "emu: --root: /no/such/directory is not a directory that can be read\n")
    }

    @Test func driveThatIsNotThere() throws {
      let result = try Child.run(
        "run", "--bare", "--drive", "/no/such/file", CommandLineTests.image("traps"))
      #expect(result.status == 125)
      #expect(result.errorLines.count == 2)
      #expect(result.errors.hasPrefix("emu: ") && result.errors.contains("/no/such/file"))
    }

    // MARK: Signals to emu

    /// Prints a byte and never ends.
    static let spinner =
      [Insn(op: .auipc, rd: 11), .li("a0", 1), .li("a2", 1), .li("a7", 64), Insn(op: .ecall)]
      + [Insn.forever]

    @Test(arguments: [SIGINT, SIGTERM]) func interrupted(_ signal: Int32) throws {
      let scratch = try Scratch()
      let file = try scratch.file("spinner", TinyELF(Self.spinner).bytes)
      let child = try Child(["run", file])
      #expect(child.waitForOutput())
      child.send(signal)
      let result = try child.finish()
      #expect(result.status == 130)
      #expect(!result.wasKilled)
      #expect(result.errorLines.count == 2)
      #expect(result.errors.hasPrefix("emu: \(file): interrupted, pc 0x"))
    }

    @Test func interruptedWhileItWaitsForInput() throws {
      // write, then read(0, ...) of a pipe that stays empty.
      let insns =
        Self.spinner.dropLast() + [Insn(op: .addi, rd: 11, rs1: 2, imm: -64)]
        + [.li("a0", 0), .li("a2", 1), .li("a7", 63), Insn(op: .ecall)] + Insn.call(93, 0)
      let scratch = try Scratch()
      let file = try scratch.file("reader", TinyELF(Array(insns)).bytes)
      let child = try Child(["run", file], input: .silence)
      #expect(child.waitForOutput())
      // Until it sleeps in poll(2).
      usleep(300_000)
      child.send(SIGINT)
      let result = try child.finish()
      #expect(result.status == 130)
      #expect(!result.wasKilled)
      #expect(result.errorLines.count == 2)
    }

    @Test func nobodyReadsItsOutput() throws {
      // The guest's write gives it SIGPIPE, as on Linux.
      let result = try Child.run("run", CommandLineTests.program("hello"), output: .closed)
      #expect(result.status == 141)
      #expect(!result.wasKilled)
      #expect(result.errorLines.count == 2)
      #expect(result.errors.contains("SIGPIPE"))
      for arguments in [["disasm", CommandLineTests.program("hello")], ["syscalls"]] {
        let result = try Child(arguments, output: .closed).finish()
        #expect(result.errors == "")
        #expect([0, 141].contains(result.status))
      }
    }

    @Test("a failed write is no difference", arguments: [Child.Output.closed, .full])
    func verifyWithoutReader(output: Child.Output) throws {
      let result = try Child.run("verify", CommandLineTests.program("hello"), output: output)
      #expect(result.status == 0)
      #expect(result.errors.contains("no difference in"))
    }

    @Test(
      "a listing that can't be written is an error",
      arguments: [
        ["syscalls"], ["disasm", CommandLineTests.program("hello")],
        ["probes", "-l", CommandLineTests.program("hello")], ["selftest", "--list"],
        ["selftest", "--filter", "events"],
      ])
    func fullDisk(arguments: [String]) throws {
      let result = try Child(arguments, output: .full).finish()
      #expect(result.status == 125)
      #expect(result.errors == "emu: standard output can't be written\n")
    }
  }
}
