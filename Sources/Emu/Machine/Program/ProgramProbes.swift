import Engine
import GuestKernel
import Image
import Probes

/// The events of a run: what `--probe` defines, on one machine.
public final class ProgramProbes {
  /// The probes.
  public let subsystem: ProbeSubsystem
  /// The events on them.
  public let tracer: EventTracer

  /// Events on `machine`, whose program is started but has not run yet.
  ///
  /// - Parameters:
  ///   - machine: the machine.
  ///   - subsystem: its probes, where it has some already.
  ///   - format: how hits are written.
  public init(
    _ machine: ProgramMachine, subsystem: ProbeSubsystem? = nil, format: TraceFormat = .text
  ) {
    let subsystem =
      subsystem ?? ProbeSubsystem(kernel: machine.kernel, isa: machine.isa.makeProbeISA())
    self.subsystem = subsystem
    tracer = EventTracer(subsystem, Self.world(machine, subsystem.isa), format: format)
  }

  /// What definitions of events ask of a machine.
  static func world(_ machine: ProgramMachine, _ isa: any ProbeISA) -> EventWorld {
    let symbols = KernelSymbols(machine.kernel.image)
    let names = EventNames(
      isRegister: { isa.registerOffset($0) != nil }, symbol: symbols.place,
      file: { Self.file(ProgramRun.guestPath($0), machine) })
    return EventWorld(
      names: names, symbol: symbols.symbol, guestPath: ProgramRun.guestPath,
      fileOffset: { Self.offset(of: $1, in: $0, machine) },
      midInsn: { Self.midInsn($1, in: $0, machine, isa) })
  }

  private static func file(_ path: String, _ machine: ProgramMachine) -> EventNames.File {
    if let fileBytes = machine.fileBytes { return fileBytes(path) == nil ? .missing : .regular }
    let kernel = machine.kernel
    guard let found = try? kernel.vfs.resolve(Path(path), kernel.vfs.makeContext()) else {
      return .missing
    }
    return found.inode.kind == .regular ? .regular : .notRegular
  }

  /// Where in a file a symbol is that some instructions are behind.
  private static func offset(
    of symbol: String, in path: String, _ machine: ProgramMachine
  ) -> Result<UInt64, EventReason> {
    let elf: ELFFile
    do throws(EventReason) {
      elf = try read(path, machine)
    } catch {
      return .failure(error)
    }
    guard let found = elf.symbols.symbol(symbol), !found.isAbsolute else {
      let why = elf.symbols.all.isEmpty ? ": it is stripped, give an offset" : ""
      return .failure(EventReason("\(path) has no symbol '\(symbol)'\(why)"))
    }
    guard let offset = elf.fileOffset(found.address) else {
      return .failure(EventReason("'\(symbol)' is not in the file's text"))
    }
    return .success(offset)
  }

  private static func bytes(_ path: String, _ machine: ProgramMachine) -> [UInt8]? {
    if let fileBytes = machine.fileBytes { return fileBytes(path) }
    let vfs = machine.kernel.vfs
    guard let inode = try? vfs.resolve(Path(path), vfs.makeContext()).inode,
      inode.size <= 1 << 30
    else { return nil }
    return try? inode.read(at: 0, Int(inode.size))
  }

  private static func read(
    _ path: String, _ machine: ProgramMachine
  ) throws(EventReason) -> ELFFile {
    guard let bytes = bytes(path, machine) else { throw EventReason("\(path) can't be read") }
    do throws(ELFError) {
      return try ELFFile(bytes)
    } catch {
      throw EventReason("\(path): \(error)")
    }
  }

  /// Which instruction a byte of a file is inside of, by the symbols of the file's functions.
  private static func midInsn(
    _ offset: UInt64, in path: String, _ machine: ProgramMachine, _ isa: any ProbeISA
  ) -> String? {
    guard let elf = try? read(path, machine) else { return nil }
    for segment in elf.header.loadable where segment.isExecutable {
      let address = segment.address &+ (offset &- segment.offset)
      guard offset >= segment.offset, offset &- segment.offset < segment.fileSize,
        let found = elf.symbols.symbol(at: address), found.symbol.kind == .function,
        found.offset < found.symbol.size, let start = elf.fileOffset(found.symbol.address)
      else { continue }
      var at = start
      while at < offset {
        let bytes = Array(elf.bytes[Int(at)...].prefix(isa.maxInsnLength))
        guard let length = isa.length(bytes) else { return nil }
        guard at &+ UInt64(length) <= offset else {
          let place = "\(found.symbol.name)+0x\(String(at &- start, radix: 16))"
          return "inside the instruction at \(place)"
        }
        at &+= UInt64(length)
      }
    }
    return nil
  }
}

/// The kernel's symbols as `kallsyms` has them: a symbol reaches to the next one.
struct KernelSymbols {
  private let table: ELFSymbolTable?
  private let starts: [UInt64]

  init(_ image: KernelImage?) {
    table = image?.elf.symbols
    var starts: [UInt64] = []
    for symbol in table?.all ?? []
    where !symbol.isAbsolute && !symbol.name.hasPrefix("$") && !symbol.name.hasPrefix(".L") {
      if starts.last != symbol.address { starts.append(symbol.address) }
    }
    self.starts = starts
  }

  func place(_ name: String) -> EventNames.Symbol {
    let found = Set((table?.all ?? []).filter { $0.name == name && !$0.isAbsolute }.map(\.address))
    guard let address = found.first else { return .unknown }
    return found.count > 1 ? .ambiguous : .address(address)
  }

  func symbol(_ address: UInt64) -> KernelSymbol? {
    guard let (symbol, offset) = table?.symbol(at: address) else { return nil }
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] <= symbol.address { low = middle + 1 } else { high = middle }
    }
    let size = low < starts.count ? starts[low] &- symbol.address : symbol.size
    return KernelSymbol(name: symbol.name, offset: offset, size: max(size, offset))
  }
}
