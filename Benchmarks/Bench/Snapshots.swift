import Engine
import GuestKernel
import Machine

/// Taking snapshots of a machine and going back to them.
struct Snapshots {
  /// A program that pipes into another one, where there is busybox; a program that forks otherwise.
  let program: [UInt8]
  let isBusybox: Bool
  /// How often each is done.
  let rounds: Int

  /// Instructions of a short scenario, the goal's measure.
  private static let scenario: UInt64 = 20_000

  /// By its name busybox knows what it is.
  private func machine(_ engine: BackEnd) throws -> ProgramMachine {
    var configuration = ProgramConfiguration()
    configuration.engine = engine
    let machine = try ProgramMachine(configuration, host: SilentHost()) { false }
    try machine.kernel.vfs.installProgram(Path("/busybox"), HostBytes(program))
    let command =
      isBusybox ? ["/busybox", "sh", "-c", "seq 2000 | sort -rn | head -3"] : ["/busybox"]
    try machine.start(
      BootRequest(path: Array("/busybox".utf8), arguments: command.map { Array($0.utf8) }))
    return machine
  }

  /// CPU seconds of each of `rounds` times that `body` is done, less `before`, in their median.
  private func median(_ before: () throws -> Void, _ body: () throws -> Void) rethrows -> Double {
    var all: [Double] = []
    for _ in 0..<rounds {
      try before()
      let start = cpuSeconds()
      try body()
      all.append(cpuSeconds() - start)
    }
    return all.sorted()[all.count / 2]
  }

  func run() throws {
    let what = isBusybox ? "busybox sh in the middle of a pipeline" : "a program that forks"
    printLine("snapshots of a 512 MiB guest (\(what)); CPU time, median of \(rounds)")
    let machine = try machine(.standard)
    guard machine.run(limit: 2_000_000) == .limit else {
      throw BenchFailure("the guest ended too soon")
    }
    let own = try machine.snapshot()
    print("of its own it has touched", own.pageCount, "pages, state of \(own.stateSize) bytes")
    // 20 MiB, which the host writes for it.
    let filled: UInt64 = 20 << 20
    let start = machine.ram.base &+ machine.ram.size / 2
    func fill(_ value: UInt8) {
      machine.ram.write(start, [UInt8](repeating: value, count: Int(filled)))
    }
    var value: UInt8 = 0
    var last = own
    let full = try median(
      {
        value &+= 1
        fill(value)
      }, { last = try machine.snapshot() })
    print("snapshot, 20 MiB written since the last", full)
    let back = try median(
      {
        value &+= 1
        fill(value)
      }, { try machine.restore(last) })
    print("restore, 20 MiB written since the snapshot", back)
    let again = try median(
      { _ = machine.run(limit: machine.hart.count &+ 100_000) }, { last = try machine.snapshot() })
    print("snapshot after 100,000 instructions", again)
    let undone = try median(
      { _ = machine.run(limit: machine.hart.count &+ 100_000) }, { try machine.restore(last) })
    print("restore after 100,000 instructions", undone)
    print("restore after nothing", try median({}, { try machine.restore(last) }))
    print("fingerprint of the state", median({}) { _ = machine.stateHash() })
    var bytes: [UInt8] = []
    print("encoding all", median({}) { bytes = last.encoded() })
    print("decoding all", try median({}) { _ = try MachineSnapshot(decoding: bytes) })
    printLine("  \(bytes.count) bytes")
    for engine in [BackEnd.interpreter, .jit] { try scenarios(engine) }
    printLine("")
  }

  private func scenarios(_ engine: BackEnd) throws {
    let machine = try machine(engine)
    _ = machine.run(limit: 2_000_000)
    let start = try machine.snapshot()
    let target = start.count &+ Self.scenario
    func round() throws {
      try machine.restore(start)
      guard machine.run(limit: target) == .limit else { throw BenchFailure("the guest ended") }
    }
    for _ in 0..<20 { try round() }
    let began = cpuSeconds()
    let number = max(rounds * 100, 500)
    for _ in 0..<number { try round() }
    let rate = Double(number) / (cpuSeconds() - began)
    printLine(
      "  restore and \(Self.scenario) instructions, \(engine): \(text(rate, 0)) a second (goal 1000)"
    )
  }

  private func print(_ what: String, _ seconds: Double) {
    printLine("  \(what): \(text(seconds * 1000, 3)) ms")
  }

  private func print(_ words: String, _ number: Int, _ more: String) {
    printLine("  \(words) \(number) \(more)")
  }
}
