import Engine
import GuestKernel
import Image
import Probes

/// The probes of a verification, which do nothing but be hit.
final class ProbeCoverage: ProcessObserver {
  /// Which instructions of programs are probed.
  enum Selection {
    /// All, each time.
    case always
    /// All, each until its first hit.
    case once
    /// None but those that are named.
    case named
  }

  let machine: ProgramMachine
  let probes: ProbeSubsystem
  private let isa: any ProbeISA
  private let selection: Selection
  private var files: Set<ObjectIdentifier> = []
  private var places: [Place] = []
  /// What was ever mapped for execution.
  private var texts: [VMA] = []
  /// Instructions that take no probe.
  private(set) var refused = 0
  /// Instructions that have none because there are too many.
  private(set) var leftOut = 0
  /// Most places: each costs the host half a kilobyte.
  private let maxPlaces: Int

  /// A probe, its instruction once that is known, and how often it was hit.
  private final class Place {
    var insn: ProbedInsn?
    var hits: UInt64 = 0
    var kprobe: Kprobe?
    var uprobe: Uprobe?
  }

  /// Keeps `probes` informed of processes, and probes each file that one maps for execution.
  init(
    _ machine: ProgramMachine, _ probes: ProbeSubsystem, selection: Selection, maxPlaces: Int
  ) {
    self.maxPlaces = maxPlaces
    self.machine = machine
    self.probes = probes
    self.selection = selection
    isa = probes.isa
    machine.kernel.observer = self
    for task in machine.kernel.tasks.values {
      guard let space = task.space else { continue }
      probeFiles(of: space)
    }
  }

  deinit { if machine.kernel.observer === self { machine.kernel.observer = nil } }

  // MARK: Probes

  /// Probes one place.
  func probe(_ target: EventTarget) throws(ProbeError) {
    switch target {
    case .kernel(let place):
      try probeKernel(place)
    case .file(let path, let offset):
      try probe(.path(path), offset)
    }
  }

  /// Probes the kernel's text.
  func probeKernelText() {
    guard let elf = machine.kernel.image?.elf else { return }
    InsnSweep(elf, isa, in: InsnSweep.kernelText(elf)).visit { address, _ in
      do throws(ProbeError) {
        try probeKernel(.address(address))
      } catch {
        refused += 1
      }
    }
  }

  private func probeKernel(_ kernelPlace: KernelPlace) throws(ProbeError) {
    let place = Place()
    let once = selection == .once
    let kprobe = try probes.registerKprobe(
      KprobeRequest(
        kernelPlace,
        pre: { [unowned self, unowned place] _ in
          place.hits &+= 1
          if once, let probe = place.kprobe { probes.unregister(probe) }
          return .continue
        }))
    place.kprobe = kprobe
    place.insn = probes.insn(of: kprobe)
    places.append(place)
  }

  private func probe(_ file: ProbedFile, _ offset: UInt64) throws(ProbeError) {
    let place = Place()
    let once = selection == .once
    place.uprobe = try probes.registerUprobe(
      UprobeRequest(
        file, offset: offset,
        entry: { [unowned self, unowned place] _ in
          place.hits &+= 1
          guard let probe = place.uprobe, place.insn == nil else { return .continue }
          place.insn = probes.insn(of: probe)
          if once { probes.unregister(probe) }
          return .continue
        }))
    places.append(place)
  }

  private func probeFiles(of space: AddressSpace) {
    for vma in space.vmas where vma.prot & MM.PROT_EXEC != 0 {
      guard let file = vma.file else { continue }
      if !texts.contains(where: { $0.start == vma.start && $0.file?.inode === file.inode }) {
        texts.append(vma)
      }
      guard selection != .named, files.insert(ObjectIdentifier(file.inode)).inserted else {
        continue
      }
      probeText(of: file)
    }
  }

  /// Where text was mapped at an address last, be it by a process that has ended.
  func text(at pc: UInt64) -> VMA? {
    texts.last { pc >= $0.start && pc < $0.end }
  }

  /// Probes every instruction of a file that is an ELF file.
  private func probeText(of file: OpenFile) {
    let inode = file.inode
    guard inode.size <= 1 << 30, let bytes = try? inode.read(at: 0, Int(inode.size)),
      let elf = try? ELFFile(bytes)
    else { return }
    InsnSweep(elf, isa).visit { address, _ in
      guard let offset = elf.fileOffset(address) else { return }
      guard places.count < maxPlaces else {
        leftOut += 1
        return
      }
      do throws(ProbeError) {
        try probe(.inode(inode), offset)
      } catch {
        refused += 1
      }
    }
  }

  // MARK: Processes

  func executed(_ task: Task) {
    probes.executed(task)
    guard let space = task.space else { return }
    probeFiles(of: space)
  }
  func cloned(_ parent: Task, _ child: Task) { probes.cloned(parent, child) }
  func releasing(_ task: Task) { probes.releasing(task) }
  func freed(stack va: UInt64) { probes.freed(stack: va) }
  func mapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64) {
    probes.mapped(space, start, end)
    probeFiles(of: space)
  }
  func unmapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64) {
    probes.unmapped(space, start, end)
  }

  // MARK: Figures

  /// What was covered.
  var summary: VerifyCoverage {
    var sums = VerifyCoverage()
    sums.places = places.count
    sums.refused = refused
    sums.leftOut = leftOut
    for place in places where place.hits > 0 {
      if place.uprobe != nil { sums.programHits &+= place.hits }
      guard let insn = place.insn else { continue }
      let mnemonic = isa.disassemble(insn.bytes, at: 0).prefix { $0 != "\t" && $0 != " " }
      switch insn.verdict {
      case .simulate: sums.simulated.add(place.hits, String(mnemonic))
      case .outOfLine: sums.outOfLine.add(place.hits, String(mnemonic))
      case .refuse: break
      }
    }
    return sums
  }
}

/// Which probes of a verification were hit.
public struct VerifyCoverage: Sendable, Equatable {
  /// The instructions of one class.
  public struct Class: Sendable, Equatable {
    /// Distinct instructions (places) that were hit.
    public var insns = 0
    /// Hits.
    public var hits: UInt64 = 0
    /// Hits by mnemonic.
    public var mnemonics: [String: UInt64] = [:]

    mutating func add(_ hits: UInt64, _ mnemonic: String) {
      insns += 1
      self.hits &+= hits
      mnemonics[mnemonic, default: 0] &+= hits
    }
  }

  /// Probes.
  public var places = 0
  /// Instructions that take none.
  public var refused = 0
  /// Instructions that have none because there are too many.
  public var leftOut = 0
  /// Those whose copy ran in a slot.
  public var outOfLine = Class()
  /// Those that were simulated.
  public var simulated = Class()
  /// Hits in the program's text.
  public var programHits: UInt64 = 0

  /// Nothing.
  public init() {}
}
