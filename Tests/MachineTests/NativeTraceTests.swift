import Foundation
import Testing
import TraceFile

@testable import Machine

/// `emu trace --native`, `emu check --format native`, and traces of x86-64 runs.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct NativeTraceTests {
  static func program(_ name: String) -> String { Images.path("user/x86_64/\(name).elf") }

  #if arch(x86_64)
  /// The host may forbid ptrace.
  static let isPossible: Bool = {
    guard let scratch = try? Scratch() else { return false }
    let result = try? Child.run(
      "trace", "--native", "-o", "\(scratch.path)/t", program("hello"))
    return result?.errors.contains("Operation not permitted") == false
  }()
  #else
  static let isPossible = false
  #endif

  static func trace(
    _ scratch: Scratch, _ program: [String], status: Int32 = 0
  ) throws -> (path: String, result: Child.Result) {
    let path = "\(scratch.path)/native"
    let result = try Child(["trace", "--native", "-o", path] + program).finish()
    #expect(result.status == status, "\(result.errors)")
    return (path, result)
  }

  @Test(.enabled(if: isPossible), arguments: ["hello", "signals", "stackgrow", "jumps"])
  func ourProcessorDoesWhatTheHostsDoes(_ name: String) throws {
    let scratch = try Scratch()
    let (path, traced) = try Self.trace(scratch, [Self.program(name), "a", "bb"])
    #expect(traced.errors.contains("the program exited with status 0"))
    let result = try Child.run("check", path, "--format", "native")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains(", 0 differences"), "\(result.errors)")
  }

  @Test(.enabled(if: isPossible)) func aWrongTraceIsFound() throws {
    let scratch = try Scratch()
    let (path, _) = try Self.trace(scratch, [Self.program("hello")])
    var events: [NativeEvent] = []
    var reader = NativeLogReader(try TraceReader(path))
    while let event = try reader.next() { events.append(event) }
    #expect(events.contains(.end(.exited(0))))

    func check(_ events: [NativeEvent], _ parts: String...) throws {
      let wrong = "\(scratch.path)/wrong"
      let file = try TraceWriter(wrong)
      let writer = NativeLogWriter(file)
      for event in events { writer.add(event) }
      writer.flush()
      #expect(file.finish() == nil)
      let result = try Child.run("check", wrong, "--format", "native")
      #expect(result.status == 1)
      for part in parts { #expect(result.errors.contains(part), "\(result.errors)") }
    }
    // A register.
    let first = try #require(
      events.firstIndex {
        if case .step(_, _, let changes, _) = $0 {
          changes.contains { $0.register == 4 }
        } else {
          false
        }
      })
    guard case .step(let pc, let bytes, var changes, let next) = events[first] else { return }
    let place = try #require(changes.firstIndex { $0.register == 4 })
    changes[place].value &+= 8
    var wrong = events
    wrong[first] = .step(pc: pc, bytes: bytes, changes: changes, next: next)
    try check(wrong, "rsp is 0x", ", the log has 0x")
    // Where it goes.
    wrong = events
    changes[place].value &-= 8
    wrong[first] = .step(pc: pc, bytes: bytes, changes: changes, next: next &+ 1)
    try check(wrong, "the next pc is 0x")
    // Memory.
    let page = try #require(
      events.firstIndex { if case .expected = $0 { true } else { false } })
    guard case .expected(let address, var memory) = events[page] else { return }
    memory[100] ^= 1
    wrong = events
    wrong[page] = .expected(address: address, bytes: memory)
    try check(wrong, "memory, compared before", "the log has 0x")
  }

  @Test(.enabled(if: isPossible)) func programsThatCanNotBeTraced() throws {
    let scratch = try Scratch()
    func fails(_ status: Int32, _ part: String, _ arguments: String...) throws {
      let result = try Child(["trace", "--native", "-o", "\(scratch.path)/t"] + arguments).finish()
      #expect(result.status == status)
      #expect(result.errors.contains(part), "\(result.errors)")
      #expect(result.errorLines.count == 2)
    }
    try fails(127, "no such program in PATH", "no-such-program-at-all")
    try fails(127, "No such file", "/no/such/file")
    try fails(126, "not an x86-64 ELF file", Images.path("user/riscv64/hello.elf"))
    try fails(126, "not an x86-64 ELF file", try scratch.file("script", "#!/bin/sh\n"))
    let odd = try Child.run("trace", "--max-insns", "5", "\(scratch.path)/t")
    #expect(odd.status == 64)
    let format = try Child.run("check", try scratch.file("log", "x"), "--format", "native")
    #expect(format.status == 122)
    #expect(format.errors.contains("not a trace file"))
  }

  @Test(.enabled(if: isPossible)) func aLimitEndsATrace() throws {
    let scratch = try Scratch()
    let (path, result) = try Self.trace(
      scratch, ["--max-insns", "1000", Self.program("hello")])
    #expect(result.errors.contains("1 000 instructions; the program reached the limit"))
    let checked = try Child.run("check", path, "--format", "native")
    #expect(checked.errors.contains("check: 1 000 instructions, 0 differences"))
    let json = try InsnTraceTests.lines(["trace", path, "--format", "json", "--from", "990"])
    #expect(json.count == 10)
  }

  @Test func randomTracesAreNoTraps() throws {
    let scratch = try Scratch()
    var generator = SplitMix64(state: 9)
    for number in 0..<300 {
      let path = "\(scratch.path)/\(number % 4)"
      let file = try TraceWriter(path)
      let writer = NativeLogWriter(file)
      func random() -> UInt64 {
        let value = UInt64.random(in: .min ... .max, using: &generator)
        return [value, value & 0xffff, 0 &- (value & 0xff), 0x1000][Int(value >> 61) & 3]
      }
      func bytes(_ most: Int) -> [UInt8] {
        (0..<Int.random(in: 1...most, using: &generator)).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
      }
      writer.add(
        .arrival(
          signal: 0, changes: (0..<103).map { NativeChange(register: $0, value: random()) },
          next: random()))
      var pc = random()
      for _ in 0..<30 {
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: writer.add(.written(address: random(), bytes: bytes(64)))
        case 1:
          writer.add(.expected(address: random(), bytes: Array(repeating: 1, count: 4096)))
          writer.add(.compared)
        case 2: writer.add(.arrival(signal: 3, changes: [], next: random()))
        default:
          let next = random()
          writer.add(
            .step(
              pc: pc, bytes: bytes(15),
              changes: [NativeChange(register: Int(random() % 103), value: random())], next: next))
          pc = next
        }
      }
      writer.flush()
      #expect(file.finish() == nil)
      var options = CheckRun.Options()
      options.log = path
      options.format = .native
      #expect([0, 1, 122].contains(CheckRun.run(options).status))
    }
  }

  // MARK: Recordings of x86-64

  @Test func aRecordingIsTraced() throws {
    let scratch = try Scratch()
    let trace = try InsnTraceTests.record(scratch, [Self.program("hello"), "world"])
    let user = try InsnTraceTests.lines(["trace", trace, "--user", "--no-counts"])
    #expect(user[0] == "<_start> task 1")
    #expect(user[1].contains(" xor rbp, rbp "))
    #expect(user.contains { $0.contains(" push rbp ") && $0.contains(" st8[") })
    #expect(user.contains { $0.contains(" call ") && $0.contains(" rsp=") })
    let blocks = "\(scratch.path)/blocks"
    _ = try Child.run("trace", trace, "--format", "blocks", "-o", blocks, "--to", "20000")
    func insn(_ line: Substring) -> [Substring] {
      let words = line.split(separator: " ")
      return [words[0], words[2], words[3]]
    }
    let whole = try InsnTraceTests.lines(["trace", trace, "--to", "20000"])
      .filter { !$0.hasPrefix("<") }.map(insn)
    #expect(try InsnTraceTests.lines(["trace", blocks]).map(insn) == whole)
    let dump = try InsnTraceTests.lines(["replay", trace, "--to", "5000", "--dump", "regs,stack"])
    #expect(dump.contains { $0.hasPrefix("rax ") && $0.contains("rcx ") })
    #expect(dump.contains { $0.hasPrefix("sp+0 ") })
    let refused = try Child.run("trace", trace, "--format", "spike")
    #expect(refused.status == 64)
    #expect(refused.errors.contains("--format spike is of RISC-V runs"))
  }
}

/// What a check holds while it runs.
@Suite struct CheckMemoryTests {
  private func addressSpace() throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    return try #require(text.split(separator: " ").first.flatMap { Int($0) }) * 4096
  }

  /// Each check has 8 GiB of address space for what its log touches, and gives it back.
  @Test func checksGiveTheirMemoryBack() throws {
    let scratch = try Scratch()
    var options = CheckRun.Options()
    options.log = "\(scratch.path)/nop.log"
    options.format = .spike
    try "core   0: 3 0x0000000000010000 (0x00000013)\n".write(
      toFile: options.log, atomically: false, encoding: .utf8)
    let before = try addressSpace()
    for _ in 0..<16 {
      let report = CheckRun.run(options)
      #expect(report.status == 0, "\(report.messages)")
    }
    // Other tests take memory meanwhile.
    #expect(try addressSpace() - before < 64 << 30)
  }
}
