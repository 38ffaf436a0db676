import Foundation
import RISCV
import Testing

/// Probes of programs, as `emu` has them: `--probe`, and `emu probes -l`.
@Suite(.enabled(if: Child.program != nil, "no emu beside the tests: run swift build first"))
struct CommandLineUprobeTests {
  /// A program whose functions are known (`Tests/ProbesTests/Programs/scenes.c`).
  private static let scenes = Images.repository
    .appendingPathComponent("Tests/ProbesTests/Programs/scenes.elf").path
  private static let hello = Images.path("user/riscv64/hello.elf")
  /// Debian's, where it was fetched: CI has none.
  private static let busybox = Images.repository.appendingPathComponent("out/busybox/busybox").path

  /// `emu run` with probes.
  private static func run(
    _ probes: [String], _ command: [String], options: [String] = []
  ) throws -> Child.Result {
    try Child(["run"] + options + probes.flatMap { ["--probe", $0] } + command).finish()
  }

  /// The lines of a trace without time and white space at their ends.
  private static func events(_ text: String) -> [String] {
    text.split(separator: "\n").filter { $0.contains(" [000] ") }.compactMap { line in
      line.firstRange(of: ": ").map { String(line[$0.upperBound...]) }
    }
  }

  // MARK: What a user gets

  @Test("p:./program:function argc=$arg1 and r:./program:function $retval")
  func entryAndReturn() throws {
    let path = Self.scenes
    let result = try Self.run(
      ["p:in \(path):xorfn n=$arg1", "r:out \(path):xorfn $retval"], [path, "x1x2"])
    #expect(result.status == 0 && result.output == "84\n87\n")
    let events = Self.events(result.errors)
    #expect(events.count == 4)
    #expect(events[0].hasPrefix("in: (0x") && events[0].hasSuffix(") n=0x1"))
    #expect(events[1].hasPrefix("out: (0x") && events[1].contains(" <- 0x"))
    #expect(events[1].hasSuffix(") arg1=0x54") && events[3].hasSuffix(") arg1=0x57"))
    // kprobe_profile's columns: the event, its hits, its misses.
    let table = result.errorLines.suffix(3).map { $0.split(separator: " ").map(String.init) }
    #expect(table == [["in", "2", "0"], ["out", "2", "0"], []])
  }

  @Test("a program of the musl library: main's arguments and result")
  func mainOfALibraryProgram() throws {
    let path = Self.hello
    let plain = try Child.run("run", path, "a b")
    let result = try Self.run(
      ["p:\(path):main argc=$arg1:u32 first=+0(+8($arg2)):string", "r:\(path):main $retval:s32"],
      [path, "a b"])
    #expect(result.status == plain.status && result.output == plain.output)
    let events = Self.events(result.errors)
    #expect(events.count == 2)
    #expect(events[0].hasSuffix(") argc=2 first=\"a b\""))
    #expect(events[1].hasSuffix(") arg1=\(plain.status)"))
  }

  @Test("p:./program:OFFSET s0=%s0 sp=%sp +8(%sp):x64")
  func offsetAndRegisters() throws {
    let path = Self.scenes
    let offset = try Self.place("xorfn", in: path)
    let result = try Self.run(["p:\(path):\(offset) s0=%s0 sp=%sp +8(%sp):x64"], [path, "x1"])
    #expect(result.status == 0 && result.output == "84\n")
    let event = try #require(Self.events(result.errors).first)
    #expect(event.contains(") s0=0x") && event.contains(" sp=0x") && event.contains(" arg3=0x"))
    #expect(event.hasPrefix("p_scenes_\(offset): ") || event.hasPrefix("p_scenes_0x"))
  }

  @Test("--trace-output and --format json")
  func json() throws {
    let path = Self.scenes
    let scratch = try Scratch()
    let trace = "\(scratch.path)/trace"
    let result = try Self.run(
      ["r:out \(path):xorfn n=$arg1:u64 $retval:u64"], [path, "x1"],
      options: ["--trace-output", trace, "--format", "json"])
    #expect(result.status == 0 && result.errors == "")
    let lines = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2)
    for line in lines {
      #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
    }
    // What the function was called with is kept for its return.
    #expect(lines[0].contains("\"n\":\"1\"") || lines[0].contains("\"n\":1"))
    #expect(lines[1].contains("\"hits\":1,\"missed\":0"))
  }

  @Test("two events with arguments of the entry at one return have each its own")
  func entryArguments() throws {
    let path = Self.scenes
    let result = try Self.run(
      ["r:one \(path):outer a=$arg1", "r:two \(path):outer $retval b=$arg1 c=$arg2"],
      [path, "U5"])
    #expect(result.status == 0 && result.output == "11\n")
    let events = Self.events(result.errors)
    #expect(events.count == 2)
    #expect(events.contains { $0.hasPrefix("one: ") && $0.hasSuffix(") a=0x5") })
    #expect(events.contains { $0.hasPrefix("two: ") && $0.contains(") arg1=0xb b=0x5 c=0x") })
  }

  @Test("a reference counter: PATH:OFFSET(COUNTER)")
  func referenceCounter() throws {
    let path = Self.scenes
    let plain = try Child.run("run", path, "Gg1")
    #expect(plain.output == "0\n0\n")
    let counter = try Self.dataOffset("sema", in: path)
    let result = try Self.run(
      ["p:\(path):\(try Self.place("semfn", in: path))(\(counter)) n=%a0"], [path, "Gg1"])
    #expect(result.output == "1\n8\n")
    #expect(Self.events(result.errors).count == 1)
    let named = try Self.run(["p:\(path):semfn(\(counter)) n=$arg1"], [path, "Gg1"])
    #expect(named.output == "1\n8\n")
  }

  @Test("a child's hits are traced too")
  func children() throws {
    let path = Self.scenes
    let result = try Self.run(["p:\(path):xorfn n=$arg1"], [path, "Fx1.x2"])
    #expect(result.status == 0)
    #expect(Self.events(result.errors).count == 2)
    let pids = Set(
      result.errorLines.filter { $0.contains(" [000] ") }
        .compactMap { $0.split(separator: " ").first })
    #expect(pids.count == 2)
  }

  @Test(
    "busybox by offset: its first instruction",
    .enabled(
      if: FileManager.default.fileExists(atPath: busybox), "no busybox: scripts/fetch-busybox.sh"))
  func busyboxByOffset() throws {
    let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: Self.busybox)))
    func word(_ at: Int) -> UInt64 {
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
    }
    let entry = word(24)
    // The entry's offset, by the program header of the segment that holds it.
    var offset: UInt64?
    for index in 0..<Int(word(56) & 0xffff) {
      let at = Int(word(32)) + 56 * index
      guard word(at) & 0xffff_ffff == 1, entry >= word(at + 16) else { continue }
      if entry - word(at + 16) < word(at + 32) { offset = entry - word(at + 16) + word(at + 8) }
    }
    let result = try Self.run(
      ["p:\(Self.busybox):0x\(String(try #require(offset), radix: 16)) sp=%sp"],
      [Self.busybox, "echo", "hi"])
    #expect(result.status == 0 && result.output == "hi\n")
    #expect(Self.events(result.errors).count == 1)
  }

  // MARK: Bad input

  /// A definition in which @ is the program, what it is refused with, and the column behind the file's name.
  struct Bad: Sendable, CustomTestStringConvertible {
    let definition: String
    let errno: String
    let column: Int
    let text: String
    var testDescription: String { definition }

    init(_ definition: String, _ errno: String, _ column: Int, _ text: String) {
      self.definition = definition
      self.errno = errno
      self.column = column
      self.text = text
    }
  }

  @Test(
    "bad input: one error, with its column and the errno's name, before anything runs",
    arguments: [
      Bad("p:@", "EINVAL", 3, "Probe point is not specified"),
      Bad("p:@:", "EINVAL", 4, "Invalid uprobe offset"),
      Bad("p:@:0x", "EINVAL", 4, "Invalid uprobe offset"),
      Bad("p:@:-4", "EINVAL", 4, "Invalid uprobe offset"),
      Bad("p:@:nosym", "EINVAL", 4, "has no symbol 'nosym'"),
      Bad("p:@:xorfn+2", "EILSEQ", 4, "inside the instruction at xorfn+0x0"),
      Bad("p:@:xorfn+1", "EILSEQ", 4, "inside the instruction at xorfn+0x0"),
      Bad("p:@:0x99999998", "EINVAL", 4, "is behind the file's end"),
      Bad("p:@:0x99999999", "EINVAL", 4, "is behind the file's end"),
      Bad("p:@:xorfn+0x1000000", "EINVAL", 4, "is behind the file's end"),
      Bad("p:@:breakfn", "EOPNOTSUPP", 4, "holds a break instruction"),
      Bad("p:@:vforkfn+16", "EINVAL", 4, "ecall can't be displaced"),
      Bad("p:@:xorfn(0x3", "EINVAL", 13, "Reference counter brace is not closed"),
      Bad("p:@:xorfn(0x4)x", "EINVAL", 14, "Reference counter has wrong suffix"),
      Bad("p:@:xorfn(0x3)", "EINVAL", 4, "the reference counter is misaligned"),
      Bad("r10:@:xorfn", "EINVAL", -1, "Maxactive is only for function exit"),
      Bad("p:@:xorfn %zz", "EINVAL", 10, "Invalid register name"),
      Bad("p:@:xorfn $foo", "EINVAL", 10, "Invalid $-val"),
      Bad("p:@:xorfn $retval", "EINVAL", 10, "$retval is not available on probe"),
      Bad("p:@:xorfn @vfs_read", "EINVAL", 10, "Symbol is not available with uprobe"),
      Bad("p:@:xorfn a=%a0 a=%a1", "EINVAL", 16, "This argument name is already used"),
      Bad("p:@:xorfn %a0:foo", "EINVAL", 14, "Unknown type is specified"),
      Bad("p:@:xorfn +0(%a0", "EINVAL", 16, "Dereference brace is not closed"),
      Bad("p:@:xorfn +x(%a0)", "EINVAL", 10, "Invalid dereference offset"),
      Bad("p:@:xorfn $stackx", "EINVAL", 10, "Invalid $-val"),
      Bad("p:@:xorfn $arg0", "EINVAL", 10, "Invalid argument number"),
      Bad("p:@:xorfn %a0:u8[", "EINVAL", 17, "Array is not closed"),
      Bad("p:@:xorfn %a0:b40@4/32", "EINVAL", 14, "Invalid bitfield"),
    ])
  func badInput(_ bad: Bad) throws {
    let path = Self.scenes
    let definition = bad.definition.replacing("@:", with: "\(path):")
      .replacing("p:@", with: "p:\(path)")
    let result = try Self.run([definition], [path, "x1"])
    #expect(result.status == 64 && !result.wasKilled)
    #expect(result.output == "")
    #expect(result.errors.contains(bad.text), "\(result.errors)")
    // Columns are counted from 1, and behind the file's name by what it is longer than @.
    let behind = bad.column >= 0
    let column = behind ? bad.column + path.utf8.count : 2
    #expect(result.errors.contains("(\(bad.errno), column \(column))"), "\(result.errors)")
    // Linux's three lines: the error, the definition, and below it the column.
    let lines = result.errorLines
    #expect(lines.count == 4)
    #expect(lines[1] == "emu:   Command: \(definition)")
    #expect(
      lines[2].firstIndex(of: "^").map { lines[2].distance(from: lines[2].startIndex, to: $0) }
        == "emu:   Command: ".count + column - 1)
  }

  @Test(
    "bad files",
    arguments: [
      ("p:/nowhere:0x10", "ENOENT", 3), ("p:/:0x10", "EINVAL", 3), ("p:/dev:0x10", "EINVAL", 3),
      ("p:/dev/null:0x10", "EINVAL", 3), ("", "EINVAL", 1), ("p", "EINVAL", 2),
      ("x:/nowhere:0", "EINVAL", 1),
    ])
  func badFiles(_ definition: String, _ errno: String, _ column: Int) throws {
    let result = try Self.run([definition], [Self.scenes, "x1"])
    #expect(result.status == 64 && result.output == "" && !result.wasKilled)
    #expect(result.errors.contains("(\(errno), column \(column))"), "\(result.errors)")
  }

  @Test("the second definition of a place or a name")
  func twice() throws {
    let path = Self.scenes
    let same = try Self.run(
      ["p:\(path):xorfn", "p:other \(path):xorfn"], [path, "x1"])
    #expect(same.status == 0 && Self.events(same.errors).count == 2)
    let name = try Self.run(["p:e \(path):xorfn", "r:e \(path):xorfn"], [path, "x1"])
    #expect(name.status == 64 && name.output == "")
  }

  // MARK: emu probes -l

  /// A line of a listing.
  private struct Row {
    var address, offset, marks, rest: String
  }

  private static func rows(_ path: String, _ symbol: String) throws -> (rows: [Row], sum: String) {
    let result = try Child.run("probes", "-l", path, "--symbol", symbol)
    #expect(result.status == 0 && result.errors == "")
    let lines = result.output.split(separator: "\n").map(String.init)
    let rows = lines.filter { $0.hasPrefix("  ") }.compactMap { line -> Row? in
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
      guard words.count == 4 else { return nil }
      return Row(
        address: String(words[0]), offset: String(words[1]), marks: String(words[2]),
        rest: words[3].drop { $0 == " " }.description)
    }
    return (rows, lines.last ?? "")
  }

  private static func place(_ symbol: String, in path: String) throws -> String {
    try #require(try rows(path, symbol).rows.first).offset
  }

  /// Where in the file a variable of the last segment is.
  private static func dataOffset(_ symbol: String, in path: String) throws -> String {
    let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    // `.probes` begins with `sema`: its header says where it is.
    func word<T: FixedWidthInteger & BitwiseCopyable>(_ at: Int, _: T.Type) -> T {
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: T.self) }
    }
    let table = Int(word(40, UInt64.self))
    let count = Int(word(60, UInt16.self))
    let names = Int(word(62, UInt16.self))
    let strings = Int(word(table + names * 64 + 24, UInt64.self))
    for index in 0..<count {
      let name = strings + Int(word(table + index * 64, UInt32.self))
      if bytes[name...].starts(with: Array(".probes".utf8) + [0]) {
        return "0x" + String(word(table + index * 64 + 24, UInt64.self), radix: 16)
      }
    }
    throw CocoaError(.fileReadUnknown)
  }

  @Test("probes -l: every instruction of a function, its class, and why one is refused")
  func listing() throws {
    let (rows, sum) = try Self.rows(Self.scenes, "sweepfn")
    #expect(sum == "14 instructions: 10 out of line, 4 simulated, 0 refused")
    #expect(rows.count == 14)
    #expect(rows.map(\.marks) == ["pr"] + Array(repeating: "p", count: 13))
    #expect(rows.filter { $0.rest.hasPrefix("simulate") }.count == 4)
    let call = try Self.rows(Self.scenes, "vforkfn")
    #expect(call.rows.contains { $0.marks == "-" && $0.rest.contains("# ") })
    #expect(call.rows.contains { $0.rest.contains("ecall can't be displaced (EINVAL)") })
    let brk = try Self.rows(Self.scenes, "breakfn")
    #expect(brk.rows.first?.rest.contains("EOPNOTSUPP") == true)
    #expect(brk.sum.hasSuffix("1 refused"))
  }

  @Test("probes -l: what it lists as probeable can be probed where it says")
  func listingIsTrue() throws {
    let path = Self.scenes
    for symbol in ["sweepfn", "shortfn", "vforkfn", "breakfn"] {
      for row in try Self.rows(path, symbol).rows {
        let result = try Self.run(["p:\(path):\(row.offset)"], [path, "z"])
        #expect(result.status == (row.marks == "-" ? 64 : 0), "\(symbol) \(row)")
      }
    }
  }

  @Test(
    "probes -l: bad input",
    arguments: [
      (["/nowhere"], Int32(127), "No such file or directory"),
      ([scenes, "--symbol", "nope"], 1, "no symbol 'nope'"),
      ([Images.path("MANIFEST")], 126, "not an ELF file"),
      ([Images.path("user")], 126, "not a regular file"),
    ])
  func badListing(_ arguments: [String], _ status: Int32, _ text: String) throws {
    let result = try Child(["probes", "-l"] + arguments).finish()
    #expect(result.status == status && !result.wasKilled)
    #expect(result.output == "")
    #expect(result.errors.hasPrefix("emu: ") && result.errors.contains(text))
    #expect(result.errorLines.count == 2)
  }
}
