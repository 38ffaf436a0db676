import Machine
import Probes
import Testing

/// Events on programs that run.
@Suite struct EventsRunTests {
  static let program = "hello.elf"

  /// Runs a program with events and gives the lines of the trace.
  static func run(
    _ guest: ProgramArchitecture, _ definitions: [String], format: TraceFormat = .text
  ) throws -> (lines: [String], table: HitTable, output: String) {
    let rig = try Rig(program, ["world"], guest: guest)
    let events = ProgramProbes(rig.machine, subsystem: rig.probes, format: format)
    var trace: [UInt8] = []
    events.tracer.output = { trace += $0 }
    for definition in definitions { try events.tracer.add(definition) }
    let outcome = rig.outcome()
    #expect(outcome.exit == .ended(.exited(0)))
    let lines = String(decoding: trace, as: UTF8.self).split(separator: "\n").map(String.init)
    return (lines, events.tracer.hits, outcome.output)
  }

  /// What stands behind the time.
  static func tail(_ line: String) -> String {
    line.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? ""
  }

  @Test(arguments: guests) func programEntryAndReturn(guest: ProgramArchitecture) throws {
    let run = try Self.run(
      guest,
      [
        "p:./hello.elf:main argc=$arg1:s32 argv=+0($arg2):string[2]",
        "r:back ./hello.elf:main $retval:s32 $arg1:u8",
      ])
    #expect(run.lines.count == 2)
    let first = try #require(run.lines.first)
    #expect(first.hasPrefix("       hello.elf-1       [000] .....     0."))
    #expect(Self.tail(first).hasPrefix("p_hello_main_0: (0x"))
    #expect(first.hasSuffix(") argc=2 argv={\"hello.elf\",\"world\"}"))
    let last = try #require(run.lines.last)
    #expect(Self.tail(last).hasPrefix("back: (0x"))
    #expect(last.contains(" <- 0x"))
    #expect(last.hasSuffix(") arg1=0 arg2=2"))
    #expect(
      run.table
        == HitTable(rows: [
          .init(group: "uprobes", event: "p_hello_main_0", hits: 1, missed: 0),
          .init(group: "uprobes", event: "back", hits: 1, missed: 0),
        ]))
  }

  @Test(arguments: guests) func kernelEntryAndReturn(guest: ProgramArchitecture) throws {
    let run = try Self.run(
      guest,
      [
        "p:g/in ksys_write fd=$arg1:u32 first=+0($arg2):u8",
        "r:g/out ksys_write got=$retval:s64 asked=$arg3:s64 bad=+0(\\8):u8 $comm",
      ])
    let entries = run.lines.filter { $0.contains("] d.... ") && $0.contains(": in: ") }
    let returns = run.lines.filter { $0.contains(": out: ") }
    #expect(!entries.isEmpty && entries.count == returns.count)
    #expect(entries.allSatisfy { Self.tail($0).hasPrefix("in: (ksys_write+0x0/0x") })
    for line in returns {
      let tail = Self.tail(line)
      #expect(tail.contains(" <- ksys_write) got="))
      #expect(tail.hasSuffix(" bad=(fault) arg4=\"hello.elf\""))
      let fields = tail.split(separator: " ").compactMap { $0.split(separator: "=").last }
      // All that was asked for was written.
      #expect(fields.count > 5 && fields[4] == fields[5])
    }
    #expect(run.table.rows.map(\.hits) == [UInt64(entries.count), UInt64(entries.count)])
  }

  @Test(arguments: guests) func oneEventAtSeveralPlaces(guest: ProgramArchitecture) throws {
    let run = try Self.run(
      guest,
      ["p:e ksys_write", "p:e vfs_write", "p:idle do_sys_openat2+\(guest == .riscv64 ? 2 : 4)"])
    let places = Set(run.lines.map { Self.tail($0).prefix { $0 != "+" } })
    #expect(places == ["e: (ksys_write", "e: (vfs_write"])
    #expect(run.table.rows.map(\.hits) == [UInt64(run.lines.count), 0])
  }

  @Test(arguments: guests) func theProgramDoesNotNotice(guest: ProgramArchitecture) throws {
    let plain = try Self.run(guest, [])
    let probed = try Self.run(
      guest,
      [
        "p ksys_write", "r ksys_write", "p ./hello.elf:main", "r ./hello.elf:main $retval",
      ])
    #expect(plain.output == probed.output)
    #expect(plain.lines.isEmpty && !probed.lines.isEmpty)
  }

  @Test(arguments: guests) func jsonLines(guest: ProgramArchitecture) throws {
    let run = try Self.run(guest, ["p:m ./hello.elf:main argc=$arg1:u8"], format: .json)
    let line = try #require(run.lines.first)
    #expect(line.hasPrefix("{\"type\":\"uprobe\",\"group\":\"uprobes\",\"event\":\"m\","))
    #expect(line.hasSuffix("\"args\":{\"argc\":2}}"))
  }

  struct Refusal: CustomTestStringConvertible, Sendable {
    var text: String
    var problem: EventProblem
    var errno: String
    var testDescription: String { text }
    init(_ text: String, _ problem: EventProblem, _ errno: String) {
      self.text = text
      self.problem = problem
      self.errno = errno
    }
  }

  @Test(arguments: [
    Refusal("p ^no_such_function", .badProbeAddr, "EINVAL"),
    Refusal("p ^do_sys_openat2+1", .badInsnBndry, "EILSEQ"),
    Refusal("p ^do_sys_openat2+0x16", .badInsnBndry, "EILSEQ"),
    Refusal("p ^handle_exception", .failRegProbe, "EINVAL"),
    Refusal("p ^0x1000", .failRegProbe, "ENOENT"),
    Refusal("r ^0xffffffffffffffff", .failRegProbe, "ENOENT"),
    Refusal("p ^layout_task_flags", .badProbeAddr, "EINVAL"),
    Refusal("p ^/none:main", .fileNotFound, "ENOENT"),
    Refusal("p ^/dev:16", .noRegularFile, "EINVAL"),
    Refusal("p /hello.elf:^nothing", .badProbeAddr, "EINVAL"),
    Refusal("p /hello.elf:^1", .failRegProbe, "EINVAL"),
    Refusal("p /hello.elf:^0x7fffffff", .failRegProbe, "EINVAL"),
    Refusal("p /hello.elf:^main+0x1e", .badInsnBndry, "EILSEQ"),
    Refusal("p ksys_write ^%zmm0", .badRegName, "EINVAL"),
    Refusal("p ksys_write ^@no_such_data", .badMemAddr, "EINVAL"),
  ])
  func refused(_ row: Refusal) throws {
    let (text, column) = EventsErrorTests.Row(row.text, row.problem).split
    let rig = try Rig(Self.program, ["world"])
    let events = ProgramProbes(rig.machine, subsystem: rig.probes)
    do throws(EventError) {
      try events.tracer.add(text)
      Issue.record("accepted: \(text)")
    } catch {
      #expect(error.problem == row.problem, "\(error)")
      #expect(error.column == column)
      #expect("\(error.errno)" == row.errno, "\(error)")
    }
    // Nothing is left of it: the program still runs.
    #expect(events.tracer.events.definitions.isEmpty)
    #expect(rig.outcome().exit == .ended(.exited(0)))
  }
}

/// What `emu probes -l` says, against what registration says.
@Suite struct EventsListingTests {
  /// The lines of instructions: address, marks, and the line.
  static func rows(_ text: String) -> [(address: UInt64, marks: String, line: String)] {
    text.split(separator: "\n").compactMap { line in
      guard line.hasPrefix("  ") || line.hasPrefix("f") else { return nil }
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.count > 2, let address = UInt64(words[0], radix: 16) else { return nil }
      let marks = words[1].hasPrefix("0x") ? words[2] : words[1]
      return (address, String(marks), String(line))
    }
  }

  @Test(arguments: guests) func kernel(guest: ProgramArchitecture) throws {
    let text = try ProbeListing.text(.kernel(guest)).get()
    let rows = Self.rows(text)
    #expect(rows.count > 1000)
    #expect(rows.contains { $0.marks == "pr" } && rows.contains { $0.marks == "-" })
    #expect(rows.allSatisfy { $0.marks != "-" || $0.line.contains("# ") })
    let rig = try Rig("hello.elf", guest: guest)
    let events = ProgramProbes(rig.machine, subsystem: rig.probes)
    for (index, row) in rows.enumerated() where index % 37 == 0 {
      let place = "0x\(String(row.address, radix: 16))"
      do throws(EventError) {
        try events.tracer.add("p:e\(index) \(place)")
        #expect(row.marks != "-", "\(row.line)")
      } catch {
        #expect(row.marks == "-", "\(row.line): \(error)")
      }
    }
    #expect(rig.outcome().exit == .ended(.exited(0)))
  }

  @Test(arguments: guests) func program(guest: ProgramArchitecture) throws {
    let path =
      String(#filePath.dropLast("EventsRunTests.swift".count))
      + "../../images/user/\(guest.rawValue)/hello.elf"
    let text = try ProbeListing.text(.file(path), symbol: "main").get()
    let rows = Self.rows(text)
    #expect(rows.first?.marks == "pr")
    #expect(text.hasPrefix("\nmain:\n"))
    #expect(rows.dropFirst().allSatisfy { $0.marks == "p" || $0.marks == "-" })
    #expect(text.contains(guest == .riscv64 ? "simulate     auipc" : "simulate     call"))
  }

  @Test(arguments: [("/none/there", 127), ("/etc/passwd", 126), ("/", 126)])
  func unreadable(_ path: String, _ status: Int32) {
    guard case .failure(let failure) = ProbeListing.text(.file(path)) else {
      Issue.record("listed \(path)")
      return
    }
    #expect(failure.status == status)
    #expect(!failure.description.contains("\n"))
  }

  @Test func unknownSymbol() {
    guard case .failure(let failure) = ProbeListing.text(.kernel(.riscv64), symbol: "nothing")
    else {
      Issue.record("listed")
      return
    }
    #expect(failure.status == 1)
  }
}
