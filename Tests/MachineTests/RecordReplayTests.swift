import Engine
import Foundation
import Glibc
import GuestKernel
import Testing
import TraceFile

@testable import Machine

/// `emu record` and `emu replay` as processes, and what is said of traces that are not whole.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct RecordReplayTests {
  static func program(_ name: String) -> String { Images.path("user/riscv64/\(name).elf") }

  static func record(
    _ scratch: Scratch, _ arguments: [String], input: Child.Input = .nothing
  ) throws -> (String, Child.Result) {
    let trace = "\(scratch.path)/run.emutrace"
    return (trace, try Child(["record", "-o", trace] + arguments, input: input).finish())
  }

  @Test(arguments: [
    ["hello", "a"], ["threads"], ["signals"], ["forks"], ["clocks"], ["crash", "segv"], ["files"],
  ])
  func aReplayIsTheSame(_ words: [String]) throws {
    let scratch = try Scratch()
    let command = [Self.program(words[0])] + words.dropFirst()
    let plain = try Child(["run"] + command).finish()
    let (trace, recorded) = try Self.record(scratch, ["--stats"] + command)
    #expect(recorded.status == plain.status)
    #expect(recorded.output.count == plain.output.count)
    for engine in ["interpreter", "auto"] {
      let replayed = try Child(["replay", "--stats", "--engine", engine, trace]).finish()
      #expect(replayed.status == recorded.status)
      #expect(replayed.output == recorded.output)
      for name in ["instructions retired", "state hash"] {
        #expect(Self.figure(name, replayed) == Self.figure(name, recorded))
        #expect(Self.figure(name, replayed) != nil)
      }
    }
  }

  /// What RDRAND and RDSEED returned is in the trace.
  @Test func randomNumbersOfTheProcessorReplay() throws {
    let scratch = try Scratch()
    var program = try TinyELF()
    program.machine = 62
    // rdrand rax; rdseed rdx; push rax; push rdx; mov eax,1; mov edi,eax; mov rsi,rsp; mov edx,16;
    // syscall; mov eax,60; xor edi,edi; syscall
    program.segments[0].bytes = [
      0x48, 0x0f, 0xc7, 0xf0, 0x48, 0x0f, 0xc7, 0xfa, 0x50, 0x52, 0xb8, 1, 0, 0, 0, 0x89, 0xc7,
      0x48, 0x89, 0xe6, 0xba, 16, 0, 0, 0, 0x0f, 0x05, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05,
    ]
    let path = "\(scratch.path)/random.elf"
    try Data(program.bytes).write(to: URL(fileURLWithPath: path))
    let (trace, recorded) = try Self.record(scratch, ["--seed", "5", path])
    #expect(recorded.status == 0)
    let other = try Child(["run", path]).finish()
    #expect(recorded.output != other.output)
    for engine in ["interpreter", "auto"] {
      let replayed = try Child(["replay", "--engine", engine, trace]).finish()
      #expect(replayed.status == 0)
      #expect(replayed.output == recorded.output)
    }
  }

  static func figure(_ name: String, _ result: Child.Result) -> Substring? {
    result.errorLines.first { $0.hasPrefix(name + " ") }
  }

  @Test func twoRecordingsOfASeedHaveTheSameState() throws {
    let scratch = try Scratch()
    let results = try (0..<2).map { _ in
      try Self.record(
        scratch, ["--stats", "--seed", "5", "--start-time", "1600000000", Self.program("mallocs")]
      ).1
    }
    #expect(Self.figure("state hash", results[0]) == Self.figure("state hash", results[1]))
  }

  @Test func whatWasTypedIsInTheTrace() throws {
    let scratch = try Scratch()
    let (trace, _) = try Self.record(
      scratch, [Self.program("cat")], input: .bytes(Array("one\ntwo\n".utf8)))
    let replayed = try Child(["replay", trace]).finish()
    #expect(replayed.output == "one\ntwo\n")
    #expect(replayed.status == 0)
  }

  @Test func filesOfARootAreInTheTrace() throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(
      atPath: "\(scratch.path)/root", withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: Self.program("cat"), toPath: "\(scratch.path)/root/cat")
    let text = String(repeating: "a line of a file\n", count: 1000)
    try scratch.file("root/data", text)
    let (trace, recorded) = try Self.record(
      scratch, ["--root", "\(scratch.path)/root", "/cat", "/data"])
    #expect(recorded.output == text)
    try FileManager.default.removeItem(atPath: "\(scratch.path)/root")
    let replayed = try Child(["replay", trace]).finish()
    #expect(replayed.output == text)
    #expect(replayed.errors == "")
    #expect(replayed.status == 0)
  }

  @Test(arguments: ["smc", "traps", "smp", "tohost", "sbi"])
  func bareBoards(_ name: String) throws {
    let scratch = try Scratch()
    let image = Images.path("bare/riscv64/\(name).elf")
    let options = name == "smp" ? ["--harts", "3", "--schedule", "random:4"] : []
    let (trace, recorded) = try Self.record(scratch, options + ["--bare", image])
    let replayed = try Child(["replay", trace]).finish()
    #expect(replayed.status == recorded.status)
    #expect(replayed.output == recorded.output)
    #expect(replayed.errors == "")
  }

  @Test func aChangedProgramIsNamedAndTheCopyRuns() throws {
    let scratch = try Scratch()
    let copy = try scratch.file("program", Images.bytes("user/riscv64/hello.elf"))
    let (trace, recorded) = try Self.record(scratch, [copy])
    try scratch.file("program", "something else")
    let replayed = try Child(["replay", trace]).finish()
    #expect(replayed.status == 0)
    #expect(replayed.output == recorded.output)
    #expect(replayed.errors.hasPrefix("emu: \(copy) has changed since (sha256 was "))
    #expect(replayed.errorLines.count == 2)
  }

  // MARK: Traces that are not whole

  static func expectOneLine(
    _ result: Child.Result, status: Int32, _ parts: String...,
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(result.status == status, sourceLocation: location)
    #expect(!result.wasKilled, sourceLocation: location)
    #expect(result.errors.hasPrefix("emu: "), sourceLocation: location)
    #expect(result.errorLines.count == 2, "\(result.errors)", sourceLocation: location)
    for part in parts { #expect(result.errors.contains(part), sourceLocation: location) }
  }

  /// Work for `spin`, in percent of what takes a blink, that nobody waits for.
  private static let forever = "100000000"

  @Test func aKilledRecorderLeavesAReadableTrace() throws {
    let scratch = try Scratch()
    let trace = "\(scratch.path)/run.emutrace"
    let child = try Child(
      ["record", "-o", trace, Self.program("spin"), Self.forever], input: .silence)
    // The description is written before the guest runs; what follows may be killed anywhere.
    for _ in 0..<1000 where (try? TraceReader(trace).chunks.count) ?? 0 < 3 { usleep(10_000) }
    child.send(SIGKILL)
    _ = try child.finish()
    let replayed = try Child(["replay", trace]).finish()
    Self.expectOneLine(replayed, status: 122, "the recording was cut off")
  }

  @Test func anInterruptedRecorderLeavesAWholeTrace() throws {
    let scratch = try Scratch()
    let trace = "\(scratch.path)/run.emutrace"
    let child = try Child(
      ["record", "-o", trace, Self.program("spin"), Self.forever], input: .silence)
    for _ in 0..<1000 where (try? TraceReader(trace).chunks.count) ?? 0 < 3 { usleep(10_000) }
    child.send(SIGINT)
    #expect(try child.finish().status == 130)
    #expect(try TraceReader(trace).isFinished)
    let replayed = try Child(["replay", trace]).finish()
    Self.expectOneLine(replayed, status: 130, "interrupted")
  }

  @Test func badFilesAreOneLine() throws {
    let scratch = try Scratch()
    let (trace, recorded) = try Self.record(scratch, [Self.program("hello"), "x"])
    let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: trace)))
    let chunks = try TraceReader(trace).chunks
    func replay(_ bytes: [UInt8], _ options: String...) throws -> Child.Result {
      let file = try scratch.file("bad", bytes)
      return try Child(["replay"] + options + [file]).finish()
    }
    Self.expectOneLine(try replay([]), status: 122, "the file is empty")
    Self.expectOneLine(try replay(Array("text".utf8)), status: 122, "not a trace file")
    Self.expectOneLine(
      try replay(Array(whole[..<Int(chunks[0].offset)])), status: 122, "no description")
    Self.expectOneLine(
      try replay(Array(whole[..<Int(chunks[2].offset)])), status: 122,
      "was cut off before its first instruction")
    let choices = try #require(chunks.lastIndex { $0.header.kind == .choices })
    var flipped = whole
    flipped[Int(chunks[choices].offset) + 70] ^= 4
    Self.expectOneLine(
      try replay(flipped), status: 122, "chunk \(choices) (CHOI) at offset ", "is damaged")
    let skipping = try replay(flipped, "--skip-damaged")
    #expect(skipping.status == 122)
    #expect(skipping.errors.contains("chunk \(choices) (CHOI) at offset "))
    #expect(skipping.errors.contains("was cut off"))
    #expect(recorded.output.hasPrefix(skipping.output))
    Self.expectOneLine(try Child.run("replay", "/no/such/file"), status: 122, "No such file")
    Self.expectOneLine(try Child.run("replay", "/"), status: 122, "not a regular file")
  }

  @Test func aTraceThatCanNotBeWrittenIsOneLine() throws {
    let program = Self.program("hello")
    Self.expectOneLine(
      try Child.run("record", "-o", "/no/such/directory/t", program), status: 125,
      "No such file or directory")
    let full = try Child.run("record", "-o", "/dev/full", program)
    #expect(full.status == 125)
    #expect(full.errors.contains("/dev/full: No space left on device"))
    Self.expectOneLine(
      try Child.run("record", "-o", "/tmp/unused.emutrace", "/no/such/program"), status: 127)
  }

  @Test(arguments: [
    ["record", "x"], ["record", "-o", "x"], ["record", "-o", "x", "--schedule", "nope", "y"],
    ["replay"], ["replay", "--engine", "nope", "x"],
  ])
  func wrongUsage(_ arguments: [String]) throws {
    let result = try Child(arguments).finish()
    #expect(result.status == 64)
    #expect(result.errors.contains("Usage: emu"))
  }

  // MARK: Choices as bytes

  static let choices: [Choice] = [
    .slice(after: 3, Slice(hart: 2, insns: 5)), .timeSlice(after: 0, 77),
    .consoleRead(after: 1, .end), .consoleRead(after: 9, .bytes([1, 2, 3])),
    .consoleRead(after: 0, .bytes([UInt8](repeating: 5, count: 700))),
    .consoleWrite(stream: 2, count: 10, digest: .max, nil),
    .consoleWrite(stream: 1, count: 0, digest: 0, .EPIPE), .waitForInput(true),
    .waitForInput(false), .interrupted(time: 1 << 50), .random([9, 8]), .startOfRun(.max),
    .stat(path: "/a", nil),
    .stat(
      path: "/b",
      HostNode(kind: .symlink("c"), permissions: 0o777, size: 1, modified: 2, inode: .max)),
    .stat(
      path: "/d",
      HostNode(kind: .file, permissions: 0o644, size: 1 << 40, modified: 0, inode: 3)),
    .list(path: "/", nil), .list(path: "/", []), .list(path: "/", ["x", "ü"]),
    .read(path: "/f", offset: 4096, count: 4096, [UInt8](repeating: 5, count: 700)),
    .read(path: "/f", offset: 0, count: 1, nil),
    .contents(path: "/p", [1], problem: "", missing: false),
    .contents(path: "/q", nil, problem: "q: none", missing: true), .driveSize(0, 512),
    .driveRead(1, offset: 512, count: 2, [1, 2]),
    .driveWrite(1, offset: 512, count: 2, digest: 4, true), .driveFlush(1, false),
  ]

  @Test func choicesSurviveTheFile() throws {
    let scratch = try Scratch()
    let trace = "\(scratch.path)/t"
    let sink = TraceSink()
    var description = RunDescription()
    description.add("kind", "program")
    description.add("argument", "p")
    try sink.begin(trace, description)
    var entries: [ChoiceEntry] = []
    for (index, choice) in Self.choices.enumerated() {
      let entry = ChoiceEntry(count: UInt64(index * index * 1000), choice: choice)
      entries.append(entry)
      sink.append(entry)
      if index % 5 == 4 { sink.flush(at: entry.count) }
    }
    #expect(sink.finish(at: 1 << 40, RunDescription()) == nil)
    let run = try RecordedRun(trace)
    #expect(run.entries == entries)
    #expect(run.reached == 1 << 40)
    #expect(!run.isCutOff)
    // The 700 bytes that come twice are stored once.
    let stored = try TraceReader(trace).chunks.filter { $0.header.kind == .blob }
    #expect(stored.count == 1)
  }

  @Test func damagedChoicesAreErrorsAndNoTraps() throws {
    var encoder = ChoiceEncoder()
    for choice in Self.choices {
      encoder.add(ChoiceEntry(count: 5, choice: choice)) { _ in 0 }
    }
    let whole = encoder.bytes.data
    var generator = SplitMix64(state: 1)
    var errors = 0
    for _ in 0..<3000 {
      var bytes = whole
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
          in: 0...255, using: &generator)
      }
      bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
      var decoder = ChoiceDecoder(ByteReader(bytes), from: 0) { $0 == 0 ? [1] : nil }
      do throws(TraceFileError) {
        while try decoder.next() != nil {}
      } catch {
        errors += 1
      }
    }
    #expect(errors > 1000)
  }
}
