import ArgumentParser
import Engine
import GuestKernel
import Image
import Machine
import NativeProbes
import Probes

/// Hits of probes with an empty handler, the whole path: break, the guest's entry code, handler,
/// slot, the break behind it, and on.
struct ProbeHits {
  let image: String
  let guest: ProgramArchitecture
  let engine: BackEnd

  /// What is measured.
  enum Kind: String, CaseIterable {
    case uprobe = "uprobe, out of line"
    case simulatedUprobe = "uprobe, simulated"
    case uretprobe
    case kprobe = "kprobe, out of line"
    case simulatedKprobe = "kprobe, simulated"
    case kretprobe
    /// At the entry of a function, which x86-64 can make a jump.
    case jump = "kprobe, jump"

    var isOfKernel: Bool { [.kprobe, .simulatedKprobe, .kretprobe, .jump].contains(self) }
    func exists(_ guest: ProgramArchitecture) -> Bool { self != .jump || guest == .x86_64 }
    /// The class of instruction that is probed; `nil`: the function's return.
    var verdict: ProbeVerdict? {
      switch self {
      case .uprobe, .kprobe: .outOfLine
      case .simulatedUprobe, .simulatedKprobe: .simulate
      case .uretprobe, .kretprobe, .jump: nil
      }
    }
  }

  /// What one run took.
  struct Run {
    var seconds: Double
    var hits: UInt64
  }

  private static let path = "/selftest"
  private static let inKernel = "probe_leaf"

  /// A machine with the image's loop in it: of the program, or in the kernel in place of `getpid`.
  private final class Rig {
    let host = SilentHost()
    let machine: ProgramMachine
    let probes: ProbeSubsystem
    let elf: ELFFile

    init(
      _ bytes: [UInt8], _ guest: ProgramArchitecture, _ engine: BackEnd, kernel: Bool, count: Int
    ) throws {
      var configuration = ProgramConfiguration()
      configuration.architecture = guest
      configuration.engine = engine
      configuration.memory = 64 << 20
      machine = try ProgramMachine(configuration, host: host) { false }
      probes = ProgramProbes(machine).subsystem
      elf = try ELFFile(bytes)
      try machine.kernel.vfs.installProgram(Path(ProbeHits.path), HostBytes(bytes))
      let arguments = ["selftest", kernel ? "k" : "h", "\(count)"]
      try machine.start(
        BootRequest(
          path: Array(ProbeHits.path.utf8), arguments: arguments.map { Array($0.utf8) }))
      guard kernel, let entry = machine.kernel.symbol("run_probe_targets") else { return }
      // With a post handler it stays a break: what a jump's handler returns is not heard.
      _ = try probes.registerKprobe(
        KprobeRequest(
          .symbol("__do_sys_getpid"), pre: { _ in .redirect(entry) }, post: { _ in }))
    }

    func run() throws -> Double {
      let start = cpuSeconds()
      let exit = machine.run()
      let seconds = cpuSeconds() - start
      guard exit == .ended(.exited(0)) else { throw BenchFailure("the guest ended with \(exit)") }
      return seconds
    }

    /// The function with the loop: the program's, or the kernel's.
    func function(_ kind: Kind) throws -> ELFSymbol {
      let symbols = kind.isOfKernel ? machine.kernel.image?.elf.symbols : elf.symbols
      guard let found = symbols?.symbol(kind.isOfKernel ? ProbeHits.inKernel : "leaf") else {
        throw BenchFailure("the image has no loop to probe")
      }
      return found
    }

    /// Where an address of the program is in its file.
    func offset(_ address: UInt64) throws -> UInt64 {
      guard let offset = elf.fileOffset(address) else {
        throw BenchFailure("the image has no text at \(address)")
      }
      return offset
    }
  }

  /// The instruction of a class that is run most often.
  private func place(_ kind: Kind, _ bytes: [UInt8]) throws -> UInt64 {
    let rig = try Rig(bytes, guest, engine, kernel: kind.isOfKernel, count: 1)
    let function = try rig.function(kind)
    guard let elf = kind.isOfKernel ? rig.machine.kernel.image?.elf : rig.elf else {
      throw BenchFailure("no kernel image")
    }
    var hits: [(place: UInt64, hits: () -> UInt64)] = []
    let range = function.address..<function.address &+ function.size
    InsnSweep(elf, rig.probes.isa, in: range).visit { at, bytes in
      let text: ProbedText = kind.isOfKernel ? .kernel : .user
      guard rig.probes.isa.classify(bytes, text)?.verdict == kind.verdict else { return }
      if kind.isOfKernel {
        guard let probe = try? rig.probes.registerKprobe(KprobeRequest(.address(at))) else {
          return
        }
        hits.append((at, { probe.hits }))
      } else {
        guard let offset = elf.fileOffset(at),
          let probe = try? rig.probes.registerUprobe(
            UprobeRequest(.path(Self.path), offset: offset, entry: { _ in .continue }))
        else { return }
        hits.append((offset, { probe.hits }))
      }
    }
    _ = try rig.run()
    guard let best = hits.max(by: { $0.hits() < $1.hits() }), best.hits() > 50 else {
      throw BenchFailure("no \(kind.rawValue) place in the loop")
    }
    return best.place
  }

  /// Runs the loop `count` times with a probe of a kind.
  func run(_ kind: Kind, count: Int) throws -> Run {
    let bytes = try Host.contents(of: image)
    let place = kind.verdict == nil ? nil : try place(kind, bytes)
    let rig = try Rig(bytes, guest, engine, kernel: kind.isOfKernel, count: count)
    let function = try rig.function(kind)
    let hits: () -> UInt64
    switch kind {
    case .uprobe, .simulatedUprobe:
      let probe = try rig.probes.registerUprobe(
        UprobeRequest(.path(Self.path), offset: place ?? 0, entry: { _ in .continue }))
      hits = { probe.hits }
    case .uretprobe:
      let probe = try rig.probes.registerUretprobe(
        .path(Self.path), offset: try rig.offset(function.address)
      ) { _ in }
      hits = { probe.hits }
    case .kprobe, .simulatedKprobe:
      let probe = try rig.probes.registerKprobe(
        KprobeRequest(.address(place ?? function.address), pre: { _ in .continue }))
      hits = { probe.hits }
    case .kretprobe:
      let probe = try rig.probes.registerKretprobe(
        KretprobeRequest(.symbol("kretprobe_target"), ret: { _ in }))
      hits = { probe.hits }
    case .jump:
      rig.probes.optimisesKprobes = true
      let probe = try rig.probes.registerKprobe(
        KprobeRequest(.symbol("probe_fib"), pre: { _ in .continue }))
      rig.probes.hurryKprobeOptimiser()
      hits = { rig.probes.passage(of: probe) == .jump ? probe.hits : 0 }
    }
    let seconds = try rig.run()
    return Run(seconds: seconds, hits: hits())
  }

  /// Runs a loop `count` times, without a probe or with two that are never hit.
  func runUnhit(count: Int, idle: Bool, kernel: Bool = false) throws -> Double {
    let rig = try Rig(
      try Host.contents(of: image), guest, engine, kernel: kernel, count: count)
    if idle {
      guard let mean = rig.elf.symbols.symbol("mean") else {
        throw BenchFailure("the image has no function 'mean'")
      }
      _ = try rig.probes.registerUprobe(
        UprobeRequest(
          .path(Self.path), offset: try rig.offset(mean.address), entry: { _ in .continue }))
      _ = try rig.probes.registerKprobe(KprobeRequest(.symbol("do_sys_openat2")))
    }
    return try rig.run()
  }

  // MARK: Peers

  /// Hits a second of a break that a debugger steps over with ptrace on this host; `nil`: refused.
  static func ptrace(count: Int) -> Double? {
    let seconds = native_ptrace_hits(count)
    return seconds > 0 ? Double(count) / seconds : nil
  }

  /// Hits a second of a Linux uprobe on this host that counts; `nil`: refused.
  static func nativeUprobe(count: Int) -> Double? {
    let bare = native_uprobe_hits(count, 0)
    let seconds = native_uprobe_hits(count, 1)
    return seconds > bare && bare >= 0 ? Double(count) / (seconds - bare) : nil
  }
}

/// Why a benchmark can't be done, in one line.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

extension Bench {
  /// Hits a second beside ptrace and native uprobes of this host; and what an idle probe costs.
  func measureProbes(_ guest: ProgramArchitecture, _ engine: BackEnd) throws {
    let image = "\(images)/user/\(guest.rawValue)/selftest.elf"
    let bench = ProbeHits(image: image, guest: guest, engine: engine)
    printLine(
      "probe hits (\(image), \(engine)): millions a CPU second, empty handler, whole path, less the same run without"
    )
    printLine(row(widths: (20, 15), "", "M/s", "spread", "x ptrace", "x native uprobe"))
    var ptrace = Series()
    var native = Series()
    for _ in 0..<runs where probe == nil {
      if let rate = ProbeHits.ptrace(count: 20_000) { ptrace.values.append(rate / 1e6) }
      if let rate = ProbeHits.nativeUprobe(count: 200_000) { native.values.append(rate / 1e6) }
    }
    func ratio(_ mine: Double, _ peer: Series) -> String {
      peer.values.isEmpty ? "-" : text(mine / peer.median, 1)
    }
    do {
      for kind in ProbeHits.Kind.allCases
      where kind.exists(guest) && (probe == nil || kind.rawValue == probe) {
        var rates = Series()
        let count = kind.isOfKernel ? 40_000 : 80_000
        for _ in 0..<runs {
          let run = try bench.run(kind, count: count)
          let bare = try bench.runUnhit(count: count, idle: false, kernel: kind.isOfKernel)
          rates.values.append(Double(run.hits) / max(run.seconds - bare, 1e-9) / 1e6)
        }
        printLine(
          row(
            widths: (20, 15),
            kind.rawValue, text(rates.median, 3), rates.spread, ratio(rates.median, ptrace),
            ratio(rates.median, native)))
      }
      if probe != nil { return }
      for (name, peer) in [("host: ptrace", ptrace), ("host: uprobe", native)] {
        printLine(
          row(
            widths: (20, 15),
            name, peer.values.isEmpty ? "refused" : text(peer.median, 3), peer.spread, "", ""))
      }
      var without = Series()
      var with = Series()
      for _ in 0..<runs {
        without.values.append(try bench.runUnhit(count: 200_000, idle: false))
        with.values.append(try bench.runUnhit(count: 200_000, idle: true))
      }
      printLine("a program with an idle uprobe and an idle kprobe: CPU seconds")
      printLine(row(widths: (20, 15), "", "seconds", "spread", "ratio", ""))
      printLine(row(widths: (20, 15), "no probe", text(without.median, 3), without.spread, "", ""))
      printLine(
        row(
          widths: (20, 15),
          "idle probes", text(with.median, 3), with.spread,
          text(without.median / with.median, 3), ""))
    } catch {
      printLine("emu-bench: \(error)")
      throw ExitCode(1)
    }
    printLine("")
  }
}
