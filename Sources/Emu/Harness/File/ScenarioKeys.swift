/// A key of scenario files.
public struct ScenarioKey: Sendable, Equatable {
  /// Its name.
  public let name: String
  /// What is behind it.
  public let type: String
  /// What it says.
  public let text: String

  init(_ name: String, _ type: String, _ text: String) {
    self.name = name
    self.type = type
    self.text = text
  }
}

/// Every key that a scenario file may have: the reader takes no others, and the documentation
/// (`Docs/scenario-files.md`) has a row for each.
public struct ScenarioKeys: Sendable {
  /// What the mapping is called.
  public let name: String
  /// The keys.
  public let keys: [ScenarioKey]

  /// All mappings.
  public static let all = [
    scenario, machine, probe, action, stop, expect, text, fault, hit, count, memory,
  ]

  /// The file itself.
  public static let scenario = ScenarioKeys(
    name: "scenario",
    keys: [
      ScenarioKey("name", "text", "what reports call it; the file's name if left out"),
      ScenarioKey("description", "text", "why it is there; not looked at"),
      ScenarioKey("machine", "mapping", "the machine"),
      ScenarioKey(
        "asm", "text or mapping of texts",
        "assembly text to run, or one for each of several guests; a Linux program is `/asm` in the guest"
      ),
      ScenarioKey(
        "program", "path",
        "an ELF file to run, from the scenario file's folder; a Linux program is `/NAME` in the guest"
      ),
      ScenarioKey("arguments", "list of texts", "the program's arguments, without its name"),
      ScenarioKey("environment", "mapping of texts", "the program's environment"),
      ScenarioKey("input", "text", "what is typed; the console ends behind it"),
      ScenarioKey(
        "files", "mapping of texts",
        "more files: absolute path in the guest to contents, or to `{from: PATH}` of the host"),
      ScenarioKey(
        "probes", "list", "definitions as in `emu run --probe`, or mappings; or `every-insn`"),
      ScenarioKey("legacy", "list of names", "mistakes that the probes make on purpose"),
      ScenarioKey("limit", "number", "most instructions (100M)"),
      ScenarioKey("stops", "list of mappings", "checks where execution comes to a place"),
      ScenarioKey("expect", "mapping", "what must come of it"),
      ScenarioKey(
        "expect-failure", "text", "the scenario must fail, with a message that contains this"),
    ])

  static let machine = ScenarioKeys(
    name: "machine",
    keys: [
      ScenarioKey("guest", "name", "`riscv64` or `x86_64`"),
      ScenarioKey("board", "name", "`linux`: with the guest kernel; `bare`: without"),
      ScenarioKey("memory", "size", "RAM (64M)"),
      ScenarioKey("caches", "name", "`coherent`, or `architectural`: stale until the fence"),
      ScenarioKey("engine", "name", "`auto`, `interpreter` or `jit`"),
      ScenarioKey("harts", "number", "bare: how many harts (1)"),
      ScenarioKey("entry", "name", "bare: `machine`, `supervisor`, or `auto` by the address"),
    ])

  static let probe = ScenarioKeys(
    name: "probe",
    keys: [
      ScenarioKey("define", "text", "the definition"),
      ScenarioKey("refused", "errno", "the registration must be refused with this"),
      ScenarioKey("action", "mapping", "what a hit does besides"),
    ])

  static let action = ScenarioKeys(
    name: "action",
    keys: [
      ScenarioKey("set", "mapping of numbers", "registers get these values"),
      ScenarioKey("override", "number", "the function returns at once with this result"),
      ScenarioKey(
        "redirect", "place", "execution goes on at a symbol of the kernel, or an address"),
      ScenarioKey("skip", "true", "the instruction is not executed"),
    ])

  static let stop = ScenarioKeys(
    name: "stop",
    keys: [
      ScenarioKey("at", "place", "`SYMBOL[+N]` of the program or of the kernel, or an address"),
      ScenarioKey("nth", "number", "the how-many-eth time (1)"),
      ScenarioKey("registers", "mapping of numbers", "registers before the instruction there"),
      ScenarioKey("memory", "list of mappings", "memory at that time"),
    ])

  static let expect = ScenarioKeys(
    name: "expect",
    keys: [
      ScenarioKey(
        "exit", "number or name",
        "the exit status (0), a signal as `SIGSEGV`, or `limit`, `stuck`, `reset`, `panic`"),
      ScenarioKey("output", "text or mapping", "standard output, or a bare board's console"),
      ScenarioKey("errors", "text or mapping", "standard error"),
      ScenarioKey("log", "text or mapping", "what the guest kernel prints"),
      ScenarioKey("fault", "mapping", "where a signal kills the program"),
      ScenarioKey("hits", "mapping of counts", "how often events are hit"),
      ScenarioKey(
        "missed", "mapping of counts", "how often events are missed; never where not named"),
      ScenarioKey("events", "list", "hits in this order; others may come between"),
      ScenarioKey("only-events", "list", "hits in this order, and no others"),
      ScenarioKey("registers", "mapping of numbers", "registers at the end"),
      ScenarioKey("memory", "list of mappings", "memory at the end"),
      ScenarioKey("counters", "mapping of counts", "figures of the run"),
      ScenarioKey(
        "differs", "`none`", "a run without probes sees and does the same (`emu verify`)"),
    ])

  static let text = ScenarioKeys(
    name: "text",
    keys: [
      ScenarioKey("exactly", "text", "all of it"),
      ScenarioKey("contains", "text or list", "parts of it, in this order"),
      ScenarioKey("lacks", "text or list", "what is no part of it"),
    ])

  static let fault = ScenarioKeys(
    name: "fault",
    keys: [
      ScenarioKey("at", "text", "the symbol, `SYMBOL+0xN` behind its beginning"),
      ScenarioKey("address", "number", "the address that was accessed"),
    ])

  static let hit = ScenarioKeys(
    name: "hit",
    keys: [
      ScenarioKey("event", "name", "the event"),
      ScenarioKey("args", "mapping of texts", "what is fetched, as a trace line shows it"),
      ScenarioKey("pid", "number", "the task"),
    ])

  static let count = ScenarioKeys(
    name: "count",
    keys: [
      ScenarioKey("at-least", "number", "so many or more"),
      ScenarioKey("at-most", "number", "so many or fewer"),
    ])

  static let memory = ScenarioKeys(
    name: "memory",
    keys: [
      ScenarioKey("at", "place", "`SYMBOL[+N]` of the program or of the kernel, or an address"),
      ScenarioKey("u8", "number", "a byte"),
      ScenarioKey("u16", "number", "two bytes"),
      ScenarioKey("u32", "number", "four bytes"),
      ScenarioKey("u64", "number", "eight bytes"),
      ScenarioKey("bytes", "hex digits", "bytes"),
      ScenarioKey("text", "text", "the text's bytes"),
    ])

  /// A key that may have been meant.
  func suggestion(for name: String) -> String? {
    let near = keys.map { ($0.name, Self.distance(name, $0.name)) }.min { $0.1 < $1.1 }
    guard let near, near.1 <= max(2, name.count / 3) else { return nil }
    return near.0
  }

  /// How many letters must be changed, added, left out, or exchanged with their neighbours.
  private static func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8.prefix(64)), Array(b.utf8))
    var before: [Int] = []
    var row = Array(0...b.count)
    for i in a.indices {
      var next = [i + 1]
      for j in b.indices {
        var cost = min(row[j] + (a[i] == b[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
        next.append(cost)
      }
      (before, row) = (row, next)
    }
    return row[b.count]
  }
}
