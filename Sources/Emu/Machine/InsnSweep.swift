import Engine
import Image

/// The instructions of a file, one behind the other, as far as its sections and symbols tell.
public struct InsnSweep {
  private let elf: ELFFile
  private let isa: any ProbeISA
  private let range: Range<UInt64>?
  /// Where functions begin.
  private let starts: [UInt64]

  /// The instructions of `elf`, or those that begin in `range`.
  public init(_ elf: ELFFile, _ isa: any ProbeISA, in range: Range<UInt64>? = nil) {
    self.elf = elf
    self.isa = isa
    self.range = range
    starts = elf.symbols.all.filter { $0.kind == .function || $0.kind == .indirectFunction }
      .map(\.address)
  }

  /// What a kernel's text is; what lies behind it is room for probes.
  public static func kernelText(_ elf: ELFFile) -> Range<UInt64>? {
    guard let start = elf.symbols.symbol("_stext")?.address,
      let end = elf.symbols.symbol("_etext")?.address, start < end
    else { return nil }
    return start..<end
  }

  /// Calls `body` with the address and the bytes of each instruction, in the order of the file.
  public func visit(_ body: (UInt64, [UInt8]) -> Void) {
    var sections = elf.sections.filter { $0.isExecutable && $0.isAllocated && $0.type != 8 }
      .map { ($0.address, elf.contents(of: $0)) }
    if sections.isEmpty {
      sections = elf.header.loadable.filter(\.isExecutable)
        .map { ($0.address, elf.contents(of: $0)) }
    }
    for (address, bytes) in sections {
      var next = starts.partition(after: address)
      var at = 0
      while at < bytes.count {
        let pc = address &+ UInt64(at)
        while next < starts.count, starts[next] <= pc { next += 1 }
        let window = Array(bytes[at..<min(at + isa.maxInsnLength, bytes.count)])
        var length = isa.length(window) ?? min(window.count, Int(isa.insnAlignment))
        // What reaches into the next function is no instruction.
        if next < starts.count, starts[next] &- pc < UInt64(length) {
          length = Int(starts[next] &- pc)
        }
        length = max(length, 1)
        if range?.contains(pc) ?? true { body(pc, Array(window.prefix(length))) }
        at += length
      }
    }
  }
}

extension ELFFile {
  /// The byte of the file that is loaded at an address, in a segment with instructions.
  public func fileOffset(_ address: UInt64) -> UInt64? {
    for segment in header.loadable where segment.isExecutable {
      let offset = address &- segment.address
      if address >= segment.address, offset < segment.fileSize { return segment.offset &+ offset }
    }
    return nil
  }
}

extension [UInt64] {
  /// The first index of a sorted array whose element is beyond `value`.
  fileprivate func partition(after value: UInt64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle] <= value { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
