import GuestKernel
import Machine
import Testing

@testable import Probes

/// Events that are there already: deleted, enabled, asked for again.
@Suite struct EventsControlTests {
  typealias Run = KernelEventTests.Run

  private func refusal(_ run: Run, _ line: String) -> EventError? {
    do throws(EventError) {
      try run.tracer.apply(line)
      return nil
    } catch { return error }
  }

  @Test(arguments: guests) func anEnabledEventIsBusy(guest: ProgramArchitecture) throws {
    let run = try Run(guest)
    try run.tracer.apply("p:e probe_leaf")
    let busy = try #require(refusal(run, "-:e"))
    #expect(busy.errno == .EBUSY && busy.problem == .eventBusy && busy.column == 2)
    try run.tracer.setEnabled("e", group: "kprobes", false)
    #expect(refusal(run, "-:e") == nil)
    #expect(run.tracer.events.definitions.isEmpty && run.tracer.registered.isEmpty)
    #expect(run.tracer.isEnabled("e", group: "kprobes") == nil)
    #expect(run.rig.probes.kprobes.points.isEmpty)
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.lines.isEmpty)
  }

  struct Deletion: CustomTestStringConvertible, Sendable {
    var line: String
    var left: [String]
    var testDescription: String { line }
    init(_ line: String, _ left: [String]) { (self.line, self.left) = (line, left) }
  }

  /// `a` at two places, another `a` in another group, `b`.
  static let lines = [
    "p:a probe_leaf", "p:a probe_stacked", "p:g/a probe_pcrel", "r:g/b probe_leaf",
  ]

  @Test(
    arguments: [
      Deletion("-:a", ["r:g/b probe_leaf"]),
      Deletion("-:kprobes/a", ["p:g/a probe_pcrel", "r:g/b probe_leaf"]),
      Deletion("-:g/", ["p:kprobes/a probe_leaf", "p:kprobes/a probe_stacked"]),
      Deletion("-:g/b", Array(lines[..<3].map { $0.replacing("p:a", with: "p:kprobes/a") })),
      Deletion(
        "-:kprobes/a probe_stacked",
        ["p:kprobes/a probe_leaf", "p:g/a probe_pcrel", "r:g/b probe_leaf"]),
    ], guests)
  func deletion(_ row: Deletion, guest: ProgramArchitecture) throws {
    let run = try Run(guest)
    for line in Self.lines { try run.tracer.apply(line) }
    for definition in run.tracer.events.definitions {
      try run.tracer.setEnabled(definition.event, group: definition.group, false)
    }
    #expect(refusal(run, row.line) == nil)
    #expect(run.tracer.events.definitions.map(\.listing) == row.left)
    #expect(run.tracer.registered.count == row.left.count)
    // What is left works as before.
    for definition in run.tracer.events.definitions {
      try run.tracer.setEnabled(definition.event, group: definition.group, true)
    }
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.lines.count == 10 * row.left.count)
  }

  @Test(
    arguments: [
      ("-", "EINVAL"), ("-a", "EINVAL"), ("-:", "EINVAL"), ("-:nothing", "ENOENT"),
      ("-:g/nothing", "ENOENT"), ("-:none/", "ENOENT"), ("-:a probe_fib", "ENOENT"),
      ("-:a", "EBUSY"),
    ], guests)
  func refused(_ row: (String, String), guest: ProgramArchitecture) throws {
    let (line, errno) = row
    let run = try Run(guest)
    for line in Self.lines { try run.tracer.apply(line) }
    let problem = try #require(refusal(run, line))
    #expect("\(problem.errno)" == errno)
    #expect(run.tracer.events.definitions.count == 4)
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.lines.count == 40)
  }

  @Test(arguments: guests) func aNewPlaceOfADisabledEventIsDisabled(
    guest: ProgramArchitecture
  ) throws {
    let run = try Run(guest)
    try run.tracer.apply("p:e probe_leaf")
    try run.tracer.setEnabled("e", group: "kprobes", false)
    try run.tracer.apply("p:e probe_stacked")
    #expect(run.rig.probes.kprobes.points.values.allSatisfy { !$0.isArmed })
    try run.tracer.setEnabled("e", group: "kprobes", true)
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.lines.count == 20)
    #expect(run.row("e")?.hits == 20)
  }

  @Test(
    arguments: [
      "p:e probe_leaf $arg1", "r:e probe_leaf", "p:e probe_stacked %REG %REG",
      "p:e probe_stacked b=%REG:u8",
    ], guests)
  func duplicates(_ second: String, guest: ProgramArchitecture) throws {
    let run = try Run(guest)
    try run.tracer.apply("p:e probe_leaf $arg1")
    let line = second.replacing("%REG", with: "%" + run.rig.facts.firstArgument)
    let problem = try #require(refusal(run, line))
    #expect(problem.errno == .EEXIST)
    // The same name in another group, and another place with arguments of the same types, are fine.
    try run.tracer.apply("p:g/e probe_leaf $arg1")
    try run.tracer.apply("p:e probe_stacked $arg1")
    #expect(run.rig.run(limit: Rig.enough) == Rig.allRight)
    #expect(run.tracer.hits.rows.map(\.hits) == [20, 10])
  }
}
