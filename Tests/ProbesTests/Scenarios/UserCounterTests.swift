import Engine
import Machine
import Testing

@testable import GuestKernel
@testable import Probes

/// Reference counters: semaphores in the program that say whether a probe is there.
@Suite struct UserCounterTests {
  @Test("U05 a probe may have a reference counter", arguments: guests)
  func counterIsTaken(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "Gg1")
    var request = UprobeRequest(
      scene.program, offset: try scene.rig.offset("semfn"), entry: { _ in .continue })
    request.referenceCounter = try dataOffset(scene, "sema")
    let probe = try scene.probes.registerUprobe(request)
    scene.finish([1, 8])
    #expect(probe.hits == 1)
  }

  /// Where in the file a variable is.
  private func dataOffset(_ scene: Scene, _ symbol: String) throws -> UInt64 {
    try scene.rig.offset(symbol)
  }

  /// A probe at `symbol` that `counter` counts.
  private func counted(
    _ scene: Scene, _ symbol: String = "semfn", counter: String = "sema",
    _ change: (inout UprobeRequest) -> Void = { _ in }
  ) throws -> Uprobe {
    var request = UprobeRequest(
      scene.program, offset: try scene.rig.offset(symbol), entry: { _ in .continue })
    request.referenceCounter = try dataOffset(scene, counter)
    change(&request)
    return try scene.probes.registerUprobe(request)
  }

  @Test(
    "U87 a semaphore is not zero while its probe is there, so the program comes by",
    arguments: guests)
  func semaphore(guest: ProgramArchitecture) throws {
    func run(_ legacy: LegacyPolicies) throws -> (hits: UInt64, values: [Int]) {
      let scene = try Scene(guest, "Gg1", legacy)
      let probe = try counted(scene)
      #expect(scene.run() == .ended(.exited(0)))
      return (probe.hits, scene.values)
    }
    #expect(try run(.noReferenceCounters) == (0, [0, 0]))
    #expect(try run([]) == (1, [1, 8]))
  }

  @Test("M24 a counter counts places, per process: not consumers, not threads", arguments: guests)
  func perSitePerProcess(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "GFG.zGzG")
    let one = try counted(scene)
    let same = try counted(scene)
    let other = try counted(scene, "xorfn")
    // Two places; the child has its parent's count.
    try scene.run(until: { _ in scene.values.count == 3 })
    #expect(scene.values == [2, 2, 0])
    scene.probes.unregister(one)
    scene.probes.unregister(other)
    try scene.run(until: { _ in scene.values.count == 4 })
    #expect(scene.values.last == 1)
    scene.probes.unregister(same)
    scene.finish([2, 2, 0, 1, 0])
  }

  @Test("M24 a counter that is not mapped yet is counted once it is", arguments: guests)
  func delayed(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mDkzk")
    let probe = try scene.probeLibrary { $0.referenceCounter = 3 * 4096 + 16 }
    try scene.run(until: { _ in scene.values.count == 1 })
    #expect(scene.values == [1])
    scene.probes.unregister(probe)
    scene.finish([1, 0])
  }

  @Test("M24 what waits for a counter is forgotten with the probe", arguments: guests)
  func delayedThenRemoved(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1zDk")
    let probe = try scene.probeLibrary { $0.referenceCounter = 3 * 4096 + 16 }
    try scene.run(until: { _ in scene.values.count == 1 })
    let state = try #require(scene.space?.probeState as? UprobeSpace)
    #expect(state.delayed.count == 1)
    scene.probes.unregister(probe)
    #expect(state.delayed.isEmpty)
    scene.finish([84, 0])
  }

  @Test(
    "M24 what waits for a counter is forgotten with the probe, be its text mapped or not",
    arguments: guests)
  func delayedAndUnmapped(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mc1uzDk")
    let probe = try scene.probeLibrary { $0.referenceCounter = 3 * 4096 + 16 }
    try scene.run(until: { _ in scene.values.count == 2 })
    scene.probes.unregister(probe)
    scene.finish([84, 0, 0])
  }

  @Test("M24 a child inherits what waits", arguments: guests)
  func delayedInAChild(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "mFDkc1.Dk")
    let probe = try scene.probeLibrary { $0.referenceCounter = 3 * 4096 + 16 }
    scene.finish([1, 84, 0, 1])
    #expect(probe.hits == 1)
  }

  @Test("M24 a registration that fails leaves no counter behind", arguments: guests)
  func rollBack(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "x1GzzG")
    try scene.run(until: { _ in scene.values.count == 2 })
    let state = UprobeSpace.of(try #require(scene.space))
    // All frames are taken: the private copy of the text page can't be made.
    var taken: [UInt64] = []
    let frames = scene.kernel.frames
    // The counter's own page is the process's already.
    try scene.space?.store(try scene.address("sema"), UInt16(0))
    while let frame = try? frames.allocate() { taken.append(frame) }
    #expect(refusal { _ = try counted(scene) } == .ENOMEM)
    #expect(!state.hasBreaks && state.delayed.isEmpty)
    #expect(scene.probes.uprobes.points.isEmpty)
    for frame in taken { frames.release(frame) }
    scene.finish([84, 0, 0])
  }

  @Test(
    "M24 a counter that is full refuses the probe, and one at zero is not counted below it",
    arguments: guests)
  func limits(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "GzzG")
    try scene.run(until: { _ in scene.values.count == 1 })
    let sema = try scene.address("sema")
    try scene.space?.store(sema, Int16.max)
    #expect(refusal { _ = try counted(scene) } == .EINVAL)
    try scene.space?.store(sema, Int16(0))
    let probe = try counted(scene)
    // The program resets it itself.
    try scene.space?.store(sema, Int16(0))
    scene.probes.unregister(probe)
    scene.finish([0, 0])
    #expect(probe.hits == 0)
  }

  @Test("one place has one counter", arguments: guests)
  func anotherCounter(guest: ProgramArchitecture) throws {
    let scene = try Scene(guest, "g1")
    _ = try counted(scene)
    #expect(refusal { _ = try counted(scene, counter: "sema2") } == .EINVAL)
    #expect(refusal { _ = try counted(scene) { $0.referenceCounter = 0 } } == .EINVAL)
    #expect(refusal { _ = try counted(scene) { $0.referenceCounter += 1 } } == .EINVAL)
    #expect(throws: Never.self) { _ = try counted(scene) }
  }
}
