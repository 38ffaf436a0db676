import Engine
import GuestKernel
import Image
import Machine
import Probes
import RISCV

/// Stops a machine at random counts, takes snapshots there, goes back to them on the same machine
/// and on others, with the other engine, by way of bytes: everywhere the state must be the same.
public struct SnapshotFuzz {
  /// What runs.
  public enum Guest: Sendable {
    /// A program under the guest kernel, with its arguments and its input.
    case program([UInt8], arguments: [String])
    /// An image on a bare board of so many harts.
    case board([UInt8], harts: Int, supervisor: Bool)
  }

  /// A difference, in one line.
  public struct Failure: Error, CustomStringConvertible {
    /// The line.
    public let description: String
  }

  let guest: Guest
  /// Most instructions of a run.
  let limit: UInt64

  /// Runs of `guest` of at most `limit` instructions.
  public init(_ guest: Guest, limit: UInt64) {
    self.guest = guest
    self.limit = limit
  }

  /// One case.
  ///
  /// - Returns: how many snapshots were taken.
  public func run(seed: UInt64) throws -> UInt64 {
    var random = FuzzRandom(seed: seed, part: .engine, number: 0)
    let caches: CacheModel = random.once(in: 2) ? .coherent : .architectural
    let engines: [BackEnd] = random.once(in: 2) ? [.interpreter, .jit] : [.jit, .interpreter]
    let probes = random.once(in: 2) ? random.next() : nil
    func make(_ engine: Int) throws -> any SnapshotRig {
      switch guest {
      case .program(let bytes, let arguments):
        try ProgramSnapshotRig(bytes, arguments, caches, engines[engine], probes: probes)
      case .board(let bytes, let harts, let supervisor):
        try BoardSnapshotRig(bytes, harts, supervisor, caches, engines[engine])
      }
    }
    let whole = try make(0)
    let exit = whole.run(until: limit)
    let end = whole.count
    let stops = self.stops(before: end, &random)
    let rig = try make(1)
    var marks: [(snapshot: MachineSnapshot, state: String)] = []
    for stop in stops {
      let exit = rig.run(until: stop)
      guard rig.count == stop else { throw Failure(description: "\(exit) before count \(stop)") }
      marks.append((try rig.machine.snapshot(), rig.state))
    }
    let last = (exit, whole.state)
    func goOn(_ rig: any SnapshotRig, from index: Int, _ how: String) throws {
      let place = "\(how), count \(stops[index]), caches \(caches.rawValue), \(engines)"
      guard rig.state == marks[index].state else {
        throw Failure(
          description: "\(place): restored to\n\(rig.state), was\n\(marks[index].state)")
      }
      let next = index + 1 < stops.count ? stops[index + 1] : limit
      let exit = rig.run(until: next)
      let expected = index + 1 < stops.count ? marks[index + 1].state : last.1
      guard rig.state == expected, index + 1 < stops.count || exit == last.0 else {
        throw Failure(
          description: "\(place): at \(rig.count) (\(exit)) is\n\(rig.state), not\n\(expected)")
      }
    }
    if let index = stops.indices.last { try goOn(rig, from: index, "going on") }
    for index in stops.indices.shuffled(using: &random) {
      try rig.machine.restore(marks[index].snapshot)
      try goOn(rig, from: index, "same machine")
    }
    var parent: (own: MachineSnapshot, decoded: MachineSnapshot)?
    for index in stops.indices {
      let bytes = marks[index].snapshot.encoded(since: parent?.own)
      let decoded = try MachineSnapshot(decoding: bytes, parent: parent?.decoded)
      parent = (marks[index].snapshot, decoded)
      guard index % 4 == 0 else { continue }
      let other = try make(0)
      try other.machine.restore(decoded)
      try goOn(other, from: index, "another machine")
    }
    return UInt64(stops.count)
  }

  /// Counts in groups of neighbours: so that some fall into the middle of what takes few
  /// instructions.
  private func stops(before end: UInt64, _ random: inout FuzzRandom) -> [UInt64] {
    var stops: Set<UInt64> = []
    for _ in 0..<4 {
      var at = 1 + random.next() % max(end, 2)
      for _ in 0..<6 {
        if at < end { stops.insert(at) }
        at += 1 + random.next() % 40
      }
    }
    return stops.sorted()
  }
}

/// A machine under test.
private protocol SnapshotRig {
  var machine: any SnapshotMachine { get }
  var count: UInt64 { get }
  /// Everything that must be the same.
  var state: String { get }
  func run(until limit: UInt64) -> String
}

private struct ProgramSnapshotRig: SnapshotRig {
  let program: FuzzProgram
  let probes: ProbeSubsystem?
  var hits: [() -> UInt64] = []

  var machine: any SnapshotMachine { program.machine }
  var count: UInt64 { program.machine.hart.count }
  func run(until limit: UInt64) -> String { "\(program.machine.run(limit: limit))" }
  var state: String {
    let hits = hits.map { String($0()) }.joined(separator: " ")
    let hart = program.machine.hart
    return "\(count) \(machine.stateHash()) registers \(hart.registerHash) RAM "
      + "\(program.machine.ram.hash()) output \(program.host.hash) hits \(hits)"
  }

  init(
    _ bytes: [UInt8], _ arguments: [String], _ caches: CacheModel, _ engine: BackEnd,
    probes seed: UInt64?
  ) throws {
    program = try FuzzProgram(
      bytes, 7, arguments: arguments, memory: 64 << 20, caches: caches, engine: engine)
    guard let seed else {
      probes = nil
      return
    }
    let probes = ProbeSubsystem(kernel: program.machine.kernel, isa: RISCVProbeISA())
    self.probes = probes
    var random = FuzzRandom(seed: seed, part: .engine, number: 0)
    let kernel = program.machine.kernel.image?.elf.symbols.all ?? []
    let own = try ELFFile(bytes)
    // Refusals are as good as probes here: they are the same on every machine.
    for _ in 0..<24 {
      guard let symbol = kernel.randomElement(using: &random) else { break }
      let place = KernelPlace.address(symbol.address &+ 2 * (random.next() % 8))
      if random.once(in: 3) {
        let request = KretprobeRequest(.address(symbol.address), ret: { _ in })
        if let probe = try? probes.registerKretprobe(request) { hits.append({ probe.hits }) }
      } else if let probe = try? probes.registerKprobe(KprobeRequest(place)) {
        hits.append({ probe.hits })
      }
    }
    for _ in 0..<24 {
      guard let symbol = own.symbols.all.randomElement(using: &random),
        let offset = own.fileOffset(symbol.address &+ 2 * (random.next() % 8))
      else { continue }
      var request = UprobeRequest(.path("/bin/program"), offset: offset)
      request.entry = { hit in
        hit.data = nil
        return .continue
      }
      if random.once(in: 3) { request.ret = { _ in } }
      if let probe = try? probes.registerUprobe(request) { hits.append({ probe.hits }) }
    }
  }
}

private struct BoardSnapshotRig: SnapshotRig {
  let board: BareMachine
  let console = FuzzConsole()

  var machine: any SnapshotMachine { board }
  var count: UInt64 { board.count }
  func run(until limit: UInt64) -> String { "\(board.run(limit: limit))" }
  var state: String { "\(count) \(board.stateHash()) output \(console.hash)" }

  init(
    _ bytes: [UInt8], _ harts: Int, _ supervisor: Bool, _ caches: CacheModel, _ engine: BackEnd
  ) throws {
    var configuration = BareConfiguration()
    configuration.memory = 32 << 20
    configuration.harts = harts
    configuration.cacheModel = caches
    configuration.engine = engine
    guard
      let board = BareMachine(
        configuration, console: console, startOfRun: 1_600_000_000_000_000_000)
    else { throw SnapshotFuzz.Failure(description: "the host refuses 32 MiB") }
    self.board = board
    let image = try BareImage(bytes, loadAddress: nil)
    if let problem = image.load(into: board.ram) {
      throw SnapshotFuzz.Failure(description: "\(problem)")
    }
    if supervisor {
      board.enterSupervisorMode(image.entry)
    } else {
      board.enterMachineMode(image.entry)
    }
    if let tohost = image.physical(of: "tohost") {
      board.watchHTIF(tohost: tohost, fromhost: image.physical(of: "fromhost"))
    }
  }
}
