import Foundation
import Testing

/// `emu run --probe` with probes of the kernel, by what the program prints.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct CommandLineKprobeTests {
  /// Runs a program with probes, its trace in a file of its own.
  private func run(
    _ probes: [String], options: [String] = [], program: [String] = ["hello", "world"]
  ) throws -> (result: Child.Result, trace: [String]) {
    let scratch = try Scratch()
    let trace = try scratch.file("trace", [])
    var arguments = ["run"] + probes.flatMap { ["--probe", $0] } + ["--trace-output", trace]
    arguments += options + [CommandLineTests.program(program[0])] + program.dropFirst()
    let result = try Child(arguments).finish()
    let text = try String(contentsOfFile: trace, encoding: .utf8)
    return (result, text.split(separator: "\n").map(String.init))
  }

  @Test func openWithItsPath() throws {
    let file = "/etc/hosts"
    let (result, trace) = try run(
      ["p:open do_sys_openat2 dfd=$arg1 path=+0($arg2):ustring"], options: ["--root", "/"],
      program: ["cat", file])
    #expect(result.status == 0 && result.errors == "")
    #expect(result.output == (try String(contentsOfFile: file, encoding: .utf8)))
    let line = try #require(trace.first { $0.contains(" open: ") })
    #expect(line.contains("(do_sys_openat2+0x0/0x"))
    #expect(line.hasSuffix(" dfd=0xffffffffffffff9c path=\"\(file)\""))
    let row = try #require(trace.last).split(separator: " ").map(String.init)
    #expect(row == ["open", String(trace.count - 1), "0"])
  }

  @Test func returnOfTheSame() throws {
    let (result, trace) = try run(
      ["r:ret do_sys_openat2 $retval:s32"], options: ["--root", "/"],
      program: ["cat", "/etc/hosts"])
    #expect(result.status == 0)
    let line = try #require(trace.first { $0.contains(" ret: ") })
    #expect(line.hasSuffix(" <- do_sys_openat2) arg1=3"))
  }

  @Test func registersStackAndMemory() throws {
    let (result, trace) = try run(
      [
        "p:grp/w ksys_write fd=%a0:u32 sp=%sp top=+0(%sp):x64 text=+0(%a1):ustring[1] $comm",
        "p:at ksys_write+0 $stack0 $stack", "r3:back ksys_write $retval:s64",
      ])
    #expect(result.status == 0 && result.errors == "")
    let hits = trace.filter { $0.contains(" w: ") }
    #expect(!hits.isEmpty)
    #expect(hits.allSatisfy { $0.contains("fd=1 ") && $0.hasSuffix("\"hello.elf\"") })
    #expect(trace.filter { $0.contains(" back: ") }.count == hits.count)
    #expect(trace.filter { $0.contains(" at: ") }.count == hits.count)
    #expect(trace.suffix(3).map { $0.split(separator: " ").first } == ["w", "at", "back"])
  }

  @Test func rawAddressAndOffset() throws {
    let plain = try run(["p:e ksys_write"]).trace
    // The listing says where instructions are.
    let listing = try Child.run("probes", "-l", "--kernel", "--symbol", "ksys_write")
    let words = listing.output.split(separator: "\n").compactMap { line -> Substring? in
      let first = line.split(separator: " ").first
      return first?.hasPrefix("ffffffff") == true ? first : nil
    }
    guard words.count > 2, let start = UInt64(words[0], radix: 16),
      let second = UInt64(words[1], radix: 16)
    else {
      Issue.record("\(listing.output) \(listing.errors)")
      return
    }
    let address = try run(["p:e 0x\(words[0])"]).trace
    #expect(address.count == plain.count)
    let offset = try run(["p:e ksys_write+\(second - start)"]).trace
    #expect(offset.count == plain.count)
    let place = "e: (ksys_write+0x\(String(second - start, radix: 16))/"
    #expect(offset.first?.contains(place) == true)
  }

  @Test func jsonAndTheTable() throws {
    let (result, trace) = try run(
      ["p:e ksys_write fd=$arg1:u8"], options: ["--format", "json"])
    #expect(result.status == 0)
    for line in trace {
      #expect(try JSONSerialization.jsonObject(with: Data(line.utf8)) is [String: Any])
    }
    #expect(trace.last?.hasPrefix("{\"type\":\"profile\",") == true)
  }

  struct Refusal: CustomTestStringConvertible, Sendable {
    /// A caret stands where the error is.
    var text: String
    var errno: String
    var testDescription: String { text }
    init(_ text: String, _ errno: String) { (self.text, self.errno) = (text, errno) }
  }

  @Test(arguments: [
    // Malformed expressions.
    Refusal("^x ksys_write", "EINVAL"), Refusal("^", "EINVAL"), Refusal("p^", "EINVAL"),
    Refusal("p:e^", "EINVAL"), Refusal("p^5 ksys_write", "EINVAL"),
    Refusal("r^5000 ksys_write", "E2BIG"), Refusal("r^0 ksys_write", "EINVAL"),
    Refusal("p:^ ksys_write", "EINVAL"), Refusal("p:^1a ksys_write", "EINVAL"),
    Refusal("p ksys_write ^$retval", "EINVAL"), Refusal("p ksys_write ^%zmm0", "EINVAL"),
    Refusal("p ksys_write ^$arg9999", "EINVAL"), Refusal("p ksys_write +0(%sp^", "EINVAL"),
    Refusal("p ksys_write %a0:^u128", "EINVAL"), Refusal("p ksys_write a=%a0 ^a=%a1", "EINVAL"),
    Refusal("p ksys_write ^@no_such_symbol", "EINVAL"), Refusal("p ksys_write ^name", "EOPNOTSUPP"),
    // Unknown symbols, offsets outside, misaligned, inside an instruction.
    Refusal("p ^no_such_function", "EINVAL"), Refusal("r ^no_such_function", "EINVAL"),
    Refusal("p ^ksys_write+1", "EILSEQ"), Refusal("p ^ksys_write+0x7fffffff", "ENOENT"),
    Refusal("p ^ksys_write-1", "EINVAL"), Refusal("r ^ksys_write+2", "EINVAL"),
    Refusal("p ^0x1000", "ENOENT"), Refusal("p ^0xffffffffffffffff", "ENOENT"),
    Refusal("p ^mod:ksys_write", "EINVAL"), Refusal("p ^do_sys_openat2+1", "EILSEQ"),
    // Instructions and functions that are refused.
    Refusal("p ^handle_exception", "EINVAL"), Refusal("p ^gate_call", "EINVAL"),
    Refusal("p ^handle_soft_irq", "EINVAL"), Refusal("r ^kretprobe_trampoline", "EINVAL"),
    // Deletion.
    Refusal("-:^nothing", "ENOENT"), Refusal("-^", "EINVAL"), Refusal("-:^", "EINVAL"),
  ])
  func refused(_ row: Refusal) throws {
    let bytes = Array(row.text.utf8)
    let at = try #require(bytes.lastIndex(of: UInt8(ascii: "^")))
    let text = String(decoding: bytes.filter { $0 != UInt8(ascii: "^") }, as: UTF8.self)
    let result = try Child.run("run", "--probe", text, CommandLineTests.program("hello"))
    // The command stops before the program starts.
    #expect(result.output == "" && !result.wasKilled)
    #expect(result.status != 0 && result.status < 128)
    #expect(
      result.errors.contains("(\(row.errno), column \(at + 1))"), "\(result.errors)")
    #expect(result.errorLines.count <= 4)
    let caret = result.errorLines.last { !$0.isEmpty }
    #expect(caret?.hasSuffix("^") == true)
  }

  @Test(arguments: [
    ("p:e ksys_write", "p:e ksys_write", "EEXIST"), ("p:e ksys_write", "r:e ksys_write", "EEXIST"),
    ("p:e ksys_write $arg1", "p:e ksys_read $arg1:u8", "EEXIST"),
    ("p:e ksys_write", "-:e", "EBUSY"),
  ])
  func refusedBesideAnother(_ first: String, _ second: String, _ errno: String) throws {
    let result = try Child.run(
      "run", "--probe", first, "--probe", second, CommandLineTests.program("hello"))
    #expect(result.output == "" && result.status != 0)
    #expect(result.errors.contains("(\(errno), column "), "\(result.errors)")
  }

  @Test func severalPlacesOfOneEvent() throws {
    let (result, trace) = try run(["p:e ksys_write $arg1:u8", "p:e ksys_read $arg1:u8"])
    #expect(result.status == 0)
    #expect(trace.contains { $0.contains("e: (ksys_write+0x0/") })
    // One row for both.
    #expect(trace.count { $0.split(separator: " ").first == "e" } == 1)
  }

  @Test func hitsOfOneTask() throws {
    let all = try run(["p:e ksys_write"], program: ["forks"])
    let first = try run(["p:e ksys_write"], options: ["--trace-pid", "1"], program: ["forks"])
    #expect(first.result.output == all.result.output)
    let lines = first.trace.dropLast()
    #expect(!lines.isEmpty && lines.allSatisfy { $0.contains("forks.elf-1 ") })
    #expect(lines.count < all.trace.count - 1)
    // The table counts them all.
    #expect(first.trace.last == all.trace.last)
    let alone = try Child.run("run", "--trace-pid", "1", CommandLineTests.program("hello"))
    #expect(alone.status == 64)
  }
}
